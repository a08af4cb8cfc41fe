/** How two snapshots differ, one line per difference, for people. */
import type { Snapshot } from '../snapshot.ts'
import { UNREADABLE } from './facts.ts'
import type { Rows, Table } from './tables.ts'

/** Empty when nothing differs. What could not be read, before or after, is a difference: it may hide one. */
export function diff(before: Snapshot, after: Snapshot): string[] {
  const tables = Object.entries(before.tables).flatMap(([name, table]) => {
    const now = after.tables[name]
    // A table that is new or gone is a difference among the facts.
    return now === undefined ? [] : tableDiff(name, table, now)
  })
  return [...tables, ...autoConfDiff(before.autoConf, after.autoConf), ...factsDiff(before.facts, after.facts)]
}

function factsDiff(before: Snapshot['facts'], after: Snapshot['facts']): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
    const [was, is] = [before[name], after[name]]
    if (name.startsWith(UNREADABLE)) return [`${name}: ${was ?? is ?? ''}`]
    if (was === is) return []
    if (was === undefined) return [`${name} added: ${show(is)}`]
    return is === undefined ? [`${name} removed: ${show(was)}`] : [`${name} changed: ${showChange(was, is)}`]
  })
}

function tableDiff(name: string, before: Table, after: Table): string[] {
  if (before.kind === 'rows' && after.kind === 'rows') return rowsDiff(before, after).map((line) => `${name}: ${line}`)
  const [was, is] = [outline(before), outline(after)]
  if (before.kind === 'unreadable' && after.kind === 'unreadable') return [`${name}: ${is}`]
  if (was !== is) return [`${name}: ${was} → ${is}`]
  if (before.kind !== 'digest' || after.kind !== 'digest' || before.hash === after.hash) return []
  return [`${name}: changed, with ${was} before and after`]
}

function outline(table: Table): string {
  if (table.kind === 'unreadable') return `unreadable (${table.why})`
  return `${table.kind === 'rows' ? table.rows.length : table.count} rows`
}

/** Rows are told apart by the primary key; without one (or with another than before) only as wholes. */
function rowsDiff(before: Rows, after: Rows): string[] {
  const sameKey = before.key.length > 0 && before.key.join('\0') === after.key.join('\0')
  if (!sameKey) return wholesDiff(before, after)
  const [keyBefore, keyAfter] = [keyOf(before), keyOf(after)]
  const now = new Map(after.rows.map((row) => [keyAfter(row), row]))
  const known = new Set(before.rows.map(keyBefore))
  return [
    ...before.rows.flatMap((row) => {
      const key = keyBefore(row)
      const is = now.get(key)
      if (is === undefined) return [`row ${label(key)} removed: ${showRow(before.columns, row)}`]
      const changes = columnChanges(before.columns, row, after.columns, is)
      return changes.length === 0 ? [] : [`row ${label(key)} changed: ${changes.join(', ')}`]
    }),
    ...after.rows.flatMap((row) => {
      const key = keyAfter(row)
      return known.has(key) ? [] : [`row ${label(key)} added: ${showRow(after.columns, row)}`]
    }),
  ]
}

function keyOf({ columns, key }: Rows): (row: (string | null)[]) => string {
  const places = key.map((column) => columns.indexOf(column))
  return (row) => JSON.stringify(places.map((i) => row[i]))
}

function wholesDiff(before: Rows, after: Rows): string[] {
  const left = new Map<string, number>()
  for (const row of before.rows) left.set(JSON.stringify(row), (left.get(JSON.stringify(row)) ?? 0) + 1)
  const added = after.rows.filter((row) => {
    const n = left.get(JSON.stringify(row)) ?? 0
    left.set(JSON.stringify(row), n - 1)
    return n <= 0
  })
  const removed = [...left].flatMap(([text, n]) => Array<string>(Math.max(0, n)).fill(text))
  return [
    ...removed.map((text) => `row removed: ${showRow(before.columns, JSON.parse(text) as (string | null)[])}`),
    ...added.map((row) => `row added: ${showRow(after.columns, row)}`),
  ]
}

/** Columns that are new or gone are differences among the facts. */
function columnChanges(
  columnsBefore: string[],
  before: (string | null)[],
  columnsAfter: string[],
  after: (string | null)[],
): string[] {
  return columnsBefore.flatMap((column, i) => {
    const j = columnsAfter[i] === column ? i : columnsAfter.indexOf(column)
    return j < 0 || before[i] === after[j] ? [] : [`${column} ${showChange(before[i], after[j])}`]
  })
}

function autoConfDiff(before: string | undefined, after: string | undefined): string[] {
  const name = 'postgresql.auto.conf'
  if (before === undefined || after === undefined) return [`${UNREADABLE}${name}`]
  if (before === after) return []
  const [was, is] = [before.split('\n'), after.split('\n')]
  const lines = [
    ...missingFrom(is, was).map((line) => `${name}: line removed: ${text(line)}`),
    ...missingFrom(was, is).map((line) => `${name}: line added: ${text(line)}`),
  ]
  return lines.length > 0 ? lines : [`${name}: the same lines in another order: ${is.map(text).join(' | ')}`]
}

/** The elements of `list` that `others` has not, or not as often. */
function missingFrom(others: string[], list: string[]): string[] {
  const left = [...others]
  return list.filter((line) => {
    const i = left.indexOf(line)
    if (i >= 0) left.splice(i, 1)
    return i < 0
  })
}

function text(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8')
}

/** `[42]`, `["a","b"]`: the key's values. */
function label(key: string): string {
  const values = JSON.parse(key) as string[]
  return `[${values.map((v) => (/^-?\d+$/.test(v) ? v : JSON.stringify(v))).join(', ')}]`
}

function showRow(columns: string[], row: (string | null)[]): string {
  return columns.map((column, i) => `${column} ${show(row[i])}`).join(', ')
}

/** Long texts from shortly before where they differ. */
function showChange(was: string | null | undefined, is: string | null | undefined): string {
  let from = 0
  if (typeof was === 'string' && typeof is === 'string' && Math.max(was.length, is.length) > SHOWN) {
    while (was[from] === is[from]) from++
    from = Math.max(0, from - 20)
  }
  return `${show(was, from)} → ${show(is, from)}`
}

/** Longest part of a text that is shown, characters. */
const SHOWN = 100

function show(value: string | null | undefined, from = 0): string {
  if (value === null || value === undefined) return 'NULL'
  const part = JSON.stringify(value.slice(from, from + SHOWN))
  const cut = value.length > from + SHOWN ? `… (${value.length} characters)` : ''
  return `${from > 0 ? '…' : ''}${part}${cut}`
}
