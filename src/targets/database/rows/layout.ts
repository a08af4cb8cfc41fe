/** What the columns of a table are to rows of ours: made up, taken from parents, or left to the server. */
import type { Source } from './batch.ts'
import type { Column, ForeignKey, Table } from './facts.ts'
import { groupReferences } from './parents.ts'
import { partsOf } from './room.ts'
import { formsOf, room, tellsOurs } from './values/value.ts'

/** What each column of a table is to us. */
export interface Layout {
  table: Table
  /** Foreign keys that share columns, and all their columns. */
  groups: ForeignKey[][]
  referring: ReadonlySet<string>
  /** Columns whose values we make up. */
  made: Column[]
  /** Columns left to the server that no sequence or expression fills. */
  left: Column[]
  /** Made-up columns that must differ from row to row. */
  unique: ReadonlySet<string>
}

export function layoutOf(table: Table, refused: ReadonlySet<string>): Layout {
  const groups = groupReferences(table)
  const referring = new Set(groups.flat().flatMap((k) => k.columns))
  const ours = table.columns.filter((c) => !c.generated && !c.sequence && !referring.has(c.name))
  const made = ours.filter((c) => c.mayInsert && formsOf(c.value).length > 0 && !refused.has(c.name))
  return {
    table,
    groups,
    referring,
    made,
    left: ours.filter((c) => !made.includes(c)),
    unique: uniqueColumns(table, made),
  }
}

export function columnOf(table: Table, name: string): Column | undefined {
  return table.columns.find((c) => c.name === name)
}

/** For each unique index without a sequence one made-up column that makes its rows unique: the one with most room. */
function uniqueColumns(table: Table, made: readonly Column[]): Set<string> {
  const unique = new Set<string>()
  for (const index of table.indexes.filter((i) => i.unique || i.exclusion)) {
    const columns = partsOf(index).flatMap((name) => columnOf(table, name) ?? [])
    if (columns.some((c) => c.sequence || unique.has(c.name))) continue
    const [best] = columns.filter((c) => made.includes(c)).sort((a, b) => room(b.value) - room(a.value))
    if (best) unique.add(best.name)
  }
  return unique
}

/** What to do about unique keys: rows may collide with others; or they may, and the server cannot decide it row by row. */
export type Collisions = 'none' | 'skip' | 'fail'

export function collisionsOf(table: Table, sources: ReadonlyMap<string, Source>): Collisions {
  const unique = table.indexes.filter((i) => i.unique || i.exclusion)
  if (unique.some((i) => !i.immediate)) return 'fail'
  const safe = unique.every((i) => partsOf(i).some((name) => tells(columnOf(table, name), sources.get(name))))
  return safe ? 'none' : 'skip'
}

/** Whether a key column tells our rows from everybody's: a sequence gives each number once. */
export function tells(column: Column | undefined, source: Source | undefined): boolean {
  return column?.sequence === true || (source?.from === 'value' && source.unique && tellsOurs(source))
}
