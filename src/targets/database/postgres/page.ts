/** Whether rows of ours fit on a page of the server, and into the entries of its indexes: nothing cuts a row in two. */
import type { Queries } from '../client.ts'
import type { WidestRow } from '../verbs/reading.ts'
import type { Column, Index, Table } from '../rows/facts.ts'
import { quoteIdent } from './sql.ts'

/** What a page of the server takes, bytes: a row, and an entry of a btree. */
interface Page {
  row: number
  entry: number
}

/** How a column is stored, as the catalog was read. */
interface Stored {
  /** Bytes; -1: as many as the value has. */
  length: number
  /** `c`, `s`, `i` or `d`. */
  align: string
  /** Whether long values are moved away; `p`: never. */
  storage: string
}

function stored(column: Column): Stored {
  return column.stored as Stored
}

/** Of a row, without its bitmap of NULLs. */
const HEADER = 23
/** A value that is stored elsewhere leaves a pointer; one that is not longer than `STAYS` stays. */
const POINTER = 18
const STAYS = 24
/** Of an entry of an index, with its own bitmap. */
const ENTRY_HEADER = 16
/** Values of an index longer than this are compressed. */
const COMPRESSED = 500

/** Why the row would not fit, or which of its optional columns must stay empty so that it does. */
export async function fitting(
  reader: Queries,
  table: Table,
  { columns, longest, optional }: WidestRow,
): Promise<string | { without: string[] }> {
  if (mostOf(table) <= SMALLEST_ROW && !table.indexes.some((i) => mayBeLong(table, i, longest))) return { without: [] }
  const page = await pageOf(reader)
  const sizes = await sizesOf(reader, { columns, longest })
  const index = table.indexes.find((i) => entryOf(table, i, sizes, longest) > page.entry)
  if (index) {
    const size = entryOf(table, index, sizes, longest)
    return `an entry of its index on ${index.columns.join(', ')} would take ${size} bytes, and an index takes ${page.entry}`
  }
  const filled = new Set(sizes.keys())
  const left = [...optional]
  const without: string[] = []
  for (;;) {
    const size = rowOf(table, sizes, filled)
    if (size <= page.row) return { without }
    const last = left.pop()
    if (last === undefined)
      return `a row of it would take ${size} bytes on a page, which has room for ${page.row}: ${filled.size} columns must be filled`
    filled.delete(last)
    without.push(last)
  }
}

/** SQL: true when a row `t` still fits after `changed` has values of ours; undefined when every row does. */
export async function staysFitting(
  reader: Queries,
  table: Table,
  changed: readonly Column[],
): Promise<string | undefined> {
  const columnsOf = (index: Index): Column[] => table.columns.filter((c) => index.columns.includes(c.name))
  const others = (index: Index): Column[] =>
    columnsOf(index).filter((c) => !changed.includes(c) && stored(c).length < 0)
  const indexes = table.indexes.filter(
    (i) => isBtree(i) && others(i).length > 0 && columnsOf(i).some((c) => changed.includes(c)),
  )
  const wide = mostOf(table) > SMALLEST_ROW
  if (!wide && indexes.length === 0) return undefined
  const page = await pageOf(reader)
  const size = (c: Column): string => `coalesce(pg_catalog.pg_column_size(t.${quoteIdent(c.name)}), 0)`
  const inRow = (c: Column): string => {
    const { length, storage } = stored(c)
    if (length > 0) return String(length + 7)
    return changed.includes(c) ? String(STAYS) : storage === 'p' ? `${size(c)} + 7` : `least(${size(c)}, ${STAYS})`
  }
  const inEntry = (c: Column): string => {
    const { length } = stored(c)
    return length > 0 ? String(length + 7) : changed.includes(c) ? OURS : size(c)
  }
  const row = [`${HEADER + bitmap(table) + 8}`, ...table.columns.map(inRow)].join(' + ')
  return [
    ...(wide ? [`${row} <= ${page.row}`] : []),
    ...indexes.map((i) => `${[`${ENTRY_HEADER}`, ...columnsOf(i).map(inEntry)].join(' + ')} <= ${page.entry}`),
  ].join(' and ')
}

/** Values that an update of ours writes have so many bytes at most. */
const OURS = '64'

/** Rows up to so many bytes fit on every usual page. */
const SMALLEST_ROW = 8_000

async function pageOf(reader: Queries): Promise<Page> {
  const [row] = await reader.query<{ size: string }>(`select pg_catalog.current_setting('block_size') as size`)
  const size = Number(row?.size ?? 8192)
  return { row: size - 32, entry: Math.floor((size - 56) / 24) * 8 - 8 }
}

/** The most that a row needs once everything that can be is stored elsewhere. */
function mostOf(table: Table): number {
  const most = (column: Column): number => {
    const { length, storage } = stored(column)
    return length > 0 ? length + 7 : storage === 'p' ? SMALLEST_ROW : STAYS
  }
  return table.columns.reduce((sum, column) => sum + most(column), HEADER + bitmap(table) + 8)
}

function bitmap(table: Table): number {
  return Math.ceil(Math.max(0, ...table.columns.map((c) => c.attnum)) / 8)
}

/** Bytes of each value in memory, by column. */
async function sizesOf(
  reader: Queries,
  { columns, longest }: Pick<WidestRow, 'columns' | 'longest'>,
): Promise<Map<string, number>> {
  const there = columns.filter((c) => longest.get(c.name) != null)
  const cells = there.map(({ type }, i) => `pg_catalog.pg_column_size($${i + 1}::text::${type})`)
  const [row] = await reader.query<{ sizes: string }>(
    `select pg_catalog.to_json(array[${cells.join(', ')}]::int4[])::text as sizes`,
    there.map(({ name }) => longest.get(name) ?? null),
  )
  const sizes = JSON.parse(row?.sizes ?? '[]') as number[]
  return new Map(there.map(({ name }, i) => [name, sizes[i] ?? 0]))
}

/** Bytes of a row in which these columns have values, once everything that can be is stored elsewhere. */
function rowOf(table: Table, sizes: ReadonlyMap<string, number>, filled: ReadonlySet<string>): number {
  // What the server fills by itself is there as well; of a value without a fixed length nobody knows more than its header.
  const there = ({ name, notNull }: Column): boolean => filled.has(name) || (notNull && !sizes.has(name))
  let at = align(HEADER + (table.columns.every(there) ? 0 : bitmap(table)), 8)
  for (const column of table.columns.filter(there)) {
    const size = sizes.get(column.name) ?? Math.max(1, stored(column).length)
    const shorter = storedSize(column, size)
    at = (shorter === size ? align(at, ALIGNED[stored(column).align] ?? 1) : at) + leaves(column, shorter)
  }
  return align(at, 8)
}

/** A short value of a type without a fixed length has a header of one byte and stands anywhere. */
function storedSize(column: Column, size: number): number {
  const { length, storage } = stored(column)
  return length < 0 && storage !== 'p' && size > 3 && size - 3 <= 127 ? size - 3 : size
}

function leaves(column: Column, size: number): number {
  const { length, storage } = stored(column)
  return length > 0 || storage === 'p' || size <= STAYS ? size : POINTER
}

const ALIGNED: Readonly<Record<string, number>> = { c: 1, s: 2, i: 4, d: 8 }

function align(at: number, to: number): number {
  return Math.ceil(at / to) * to
}

function isBtree({ columns, equality }: Index): boolean {
  return columns.length > 0 && equality.length === columns.length
}

/** Whether it is worth a question to the server how long an entry would be. */
function mayBeLong(table: Table, index: Index, longest: ReadonlyMap<string, string | null>): boolean {
  const length = (column: Column): number => {
    const { length: fixed } = stored(column)
    const most = Math.max(Buffer.byteLength(longest.get(column.name) ?? ''), 4 * (column.value.length ?? 0))
    return fixed > 0 ? fixed : most
  }
  const columns = table.columns.filter((c) => index.columns.includes(c.name))
  return isBtree(index) && columns.reduce((sum, column) => sum + length(column), 0) > 2_000
}

function entryOf(
  table: Table,
  index: Index,
  sizes: ReadonlyMap<string, number>,
  longest: ReadonlyMap<string, string | null>,
): number {
  if (!isBtree(index)) return 0
  const columns = table.columns.filter((c) => index.columns.includes(c.name))
  return columns.reduce((sum, column) => {
    const size = storedSize(column, sizes.get(column.name) ?? 0)
    const packs = 'xm'.includes(stored(column).storage) && size > COMPRESSED
    return sum + (packs ? packed(longest.get(column.name) ?? '', size) : size)
  }, ENTRY_HEADER)
}

/** About what the server makes of a long value: it stores repetitions once, and keeps what it cannot make a quarter smaller. */
function packed(text: string, size: number): number {
  const padded = Buffer.from(text.padEnd(Math.min(size, 100_000)))
  const { constants, deflateRawSync } = process.getBuiltinModule('node:zlib')
  const small = deflateRawSync(padded, { strategy: constants.Z_FIXED }).length
  return small < 0.75 * size ? small : size
}
