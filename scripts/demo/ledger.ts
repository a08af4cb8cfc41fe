/**
 * What the demo's application has committed, row by row. It writes while chaos does, so the proof at the end is not
 * "nothing has changed" but "nothing has changed except this".
 */
import type { Snapshot } from '../snapshot.ts'

/** Values by column, as the server writes them. */
export type Row = Record<string, string | null>
/** A row of that table: all of it, or its key and the columns that were set. */
export type Edit = [table: string, row: Row]

export class Ledger {
  readonly #before: Snapshot
  readonly #edits: Edit[] = []

  constructor(before: Snapshot) {
    this.#before = before
  }

  get size(): number {
    return this.#edits.length
  }

  /** To be called when it is committed, in the order of the commits. */
  enter(edits: readonly Edit[]): void {
    this.#edits.push(...edits)
  }

  /** The snapshot that must be taken now. */
  expected(): Snapshot {
    const tables = Object.entries(this.#before.tables).map(([name, table]) => {
      if (table.kind !== 'rows') return [name, table]
      const rows = new Map(rowsOf(this.#before, name).map((row) => [keyOf(row, table.key), row]))
      for (const [, row] of this.#edits.filter(([edited]) => `public.${edited}` === name)) {
        const key = keyOf(row, table.key)
        rows.set(key, { ...rows.get(key), ...row })
      }
      return [name, { ...table, rows: [...rows.values()].map((row) => table.columns.map((c) => row[c] ?? null)) }]
    })
    return { ...this.#before, tables: Object.fromEntries(tables) as Snapshot['tables'] }
  }
}

/** The rows of a table in a snapshot; of the schema `public` unless it is named. */
export function rowsOf(snapshot: Snapshot, table: string): Row[] {
  const found = snapshot.tables[table] ?? snapshot.tables[`public.${table}`]
  if (found?.kind !== 'rows') throw new Error(`the snapshot has no rows of ${table}`)
  return found.rows.map((values) => Object.fromEntries(found.columns.map((column, i) => [column, values[i] ?? null])))
}

function keyOf(row: Row, key: readonly string[]): string {
  return JSON.stringify(key.map((column) => row[column]))
}
