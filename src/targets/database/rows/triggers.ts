/** Which of a table's triggers fire for what a skill does there, as read from the catalog and as told to people. */
import type { Table, Trigger } from './facts.ts'

/** What a skill does to rows. `insert` stands for the undo too, which deletes; nothing of ours truncates. */
export type Writes = 'insert' | 'update'

/** Triggers that fire for it. */
export function firing(table: Pick<Table, 'triggers'>, writes: Writes): Trigger[] {
  return table.triggers.filter((t) =>
    // One that fires for some columns only is a reason not to write those.
    writes === 'update' ? t.on.update && t.columns.length === 0 : !t.harmless && (t.on.insert || t.on.delete),
  )
}

/** What somebody who lets triggers fire must know of a table; empty where none does. */
export function firingNotes(table: Pick<Table, 'id' | 'triggers'>, writes: Writes, role: string): string[] {
  const names = firing(table, writes).map((t) => `${t.name} (function ${t.function} of owner ${t.owner})`)
  if (names.length === 0) return []
  return [
    `rows of ${table.id} fire its triggers, whose code is not ours and runs as ${role}: ${names.join(', ')}; what they write elsewhere is not undone`,
  ]
}

/** `triggers: allow` is for tables that somebody has looked at. */
export function onlyNamed({
  triggers,
  tables,
}: {
  triggers?: 'allow' | undefined
  tables?: string[] | undefined
}): boolean {
  return triggers === undefined || tables !== undefined
}

export const ONLY_NAMED = { path: ['triggers'], error: 'is for tables that are named: write them under tables' }
