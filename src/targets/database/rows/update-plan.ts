/** Choosing tables, columns and rows for db.update_load; changes nothing. */
import { z } from 'zod'
import { ConfigError } from '../../../core/errors.ts'
import type { Plan, PlanContext, Planned } from '../../../core/skill.ts'
import {
  foreignEncoding,
  isPlain,
  isUnreadable,
  noForm,
  readCatalog,
  returnsExactly,
} from '../postgres/catalog/encoding.ts'
import type { Column, Table } from './facts.ts'
import type { DbReader } from '../client.ts'
import { keyCells, keyFrom, keyOf, keySchema } from './keys.ts'
import type { Key } from './keys.ts'
import { postgres } from '../postgres/index.ts'
import { refuseOnReplica } from './replica.ts'
import { columnsToday } from './old-types.ts'
import type { SizeOf } from './old-types.ts'
import { valueTypeSchema } from './batch.ts'
import { staysFitting } from './row-width.ts'
import { quoteIdent, quoteTable } from '../postgres/sql.ts'
import { refusal, setAside, skippedFor, unfitForWrites, unreadable } from './suitable.ts'
import type { Privilege, Unfit } from './suitable.ts'
import { firing, firingNotes, ONLY_NAMED, onlyNamed } from './triggers.ts'
import { resolveTables, tableOf } from './names.ts'
import type { TableRef } from './names.ts'
import { manyValued } from './values/value.ts'

export const updateParams = z
  .strictObject({
    rows: z.int().min(1).default(100),
    tables: z.array(z.string().min(1)).min(1).optional(),
    columns: z.array(z.string().min(1)).min(1).optional(),
    triggers: z.literal('allow').optional(),
  })
  .refine(onlyNamed, ONLY_NAMED)

const values = z.array(z.array(z.string().nullable()))

export const updateStep = z.object({
  id: z.string(),
  schema: z.string(),
  table: z.string(),
  oid: z.string(),
  /** Of the table when it was planned; another one is stale. */
  shape: z.string(),
  key: keySchema,
  columns: z.array(
    z.object({ name: z.string(), attnum: z.int().optional(), type: z.string(), value: valueTypeSchema }),
  ),
  keys: z.array(z.array(z.string())),
  /** Trigger functions that somebody has let fire, as `schema.name`. */
  trigger_functions: z.array(z.string()).optional(),
  /** Values are written as they are: load, and nothing to undo. */
  pure: z.boolean(),
  seed: z.string(),
  /** Recorded before COMMIT: which of `keys` were changed, from what to what, and by which transaction. */
  changed: z.array(z.int()).optional(),
  before: values.optional(),
  ours: values.optional(),
  xid: z.string().optional(),
  /** The oids of the partitions that the rows are in. */
  parts: z.array(z.string()).optional(),
})

export type UpdateStep = z.infer<typeof updateStep>

/** A step of version 1 as one of today. */
export function updateToday(step: object, sizeOf: SizeOf): object {
  return 'columns' in step ? { ...step, columns: columnsToday(step.columns, sizeOf) } : step
}

export type UpdateParams = z.infer<typeof updateParams>

const NEEDS: readonly Privilege[] = ['USAGE', 'SELECT', 'UPDATE']
/** Of one step. */
const ROWS = 500
const BYTES = 256 * 1024
/** Values of one row that are larger in all, bytes, are left alone: they have to fit into the journal. */
const ROW_BYTES = 64 * 1024
/** Columns changed in one row at most. */
const COLUMNS = 3
/** Tables with more rows are sampled by pages. */
const LARGE = 50_000

interface Chosen {
  table: Table
  key: Key
  columns: Column[]
  /** The columns have too few values: they are written with the values they have. */
  pure: boolean
}

export async function planUpdates(ctx: PlanContext<DbReader>, params: UpdateParams): Promise<Plan<UpdateStep>> {
  await refuseOnReplica(postgres.isReplica(ctx.target), 'db.update_load', 'writes rows')
  const named = params.tables && (await resolveTables(ctx.target, ctx.all, params.tables))
  const { chosen, unfit } = await choose(ctx, params, named)
  const encoding = chosen.length > 0 ? await foreignEncoding(ctx.target) : undefined
  const steps: Planned<UpdateStep>[] = []
  const notes: string[] = []
  let left = params.rows
  for (const [i, one] of chosen.entries()) {
    ctx.signal.throwIfAborted()
    const sampled = await sampleRows(ctx, one, Math.ceil(left / (chosen.length - i)), encoding).catch(unreadable)
    if ('reason' in sampled) {
      unfit.set(one.table, sampled)
      continue
    }
    const { rows, except } = sampled
    if (rows.length === 0) unfit.set(one.table, { reason: noneLeft(except) })
    else if (one.pure) notes.push(noteOf(one))
    if (rows.length > 0 && except !== undefined) notes.push(`rows of ${one.table.id} are left alone where ${except}`)
    left -= rows.length
    if (rows.length > 0) notes.push(...firingNotes(one.table, 'update', ctx.target.role))
    steps.push(...toSteps(one, rows, ctx))
  }
  const [refused] = named ? unfit : []
  if (refused) throw refusal('db.update_load', ...refused)
  return {
    steps,
    skipped: [...unfit].map(([table, why]) => skippedFor(table, why)),
    notes,
  }
}

async function choose(
  ctx: PlanContext<DbReader>,
  { rows, columns: wanted, triggers }: UpdateParams,
  named: TableRef[] | undefined,
): Promise<{ chosen: Chosen[]; unfit: Map<{ id: string }, Unfit> }> {
  const free = ctx.resources.filter((r) => r.kind === 'table' && !ctx.taken.has(r.id))
  const candidates = named ?? ctx.random.shuffle(free.filter((r) => r.aside === undefined)).map(tableOf)
  const catalog = await readCatalog(ctx.target, candidates)
  if (wanted && catalog.unreadable.size === 0) refuseUnknown(wanted, [...catalog.known.values()])
  const chosen: Chosen[] = []
  const unfit = new Map<{ id: string }, Unfit>(named ? [] : setAside(free))
  for (const ref of candidates) {
    const judged = judge(catalog.known.get(ref.id) ?? catalog.unreadable.get(ref.id), ctx, wanted, triggers)
    if ('reason' in judged) unfit.set(ref, judged)
    else chosen.push(judged)
  }
  // Rows that really change come before a mere write load.
  const limit = Math.min(rows, named ? Infinity : ctx.mayPick('table'))
  return { chosen: chosen.sort((a, b) => Number(a.pure) - Number(b.pure)).slice(0, limit), unfit }
}

function refuseUnknown(wanted: readonly string[], tables: readonly Table[]): void {
  const unknown = wanted.flatMap((name, index) =>
    tables.some((table) => table.columns.some((c) => c.name === name)) ? [] : [{ name, index }],
  )
  if (unknown.length === 0) return
  throw new ConfigError(
    unknown.map(({ name, index }) => ({
      ...{ file: '', line: 0, column: 0, path: `params.columns[${index}]` },
      message: `no table of this skill has a column ${JSON.stringify(name)}`,
    })),
    'CONFIG_NOT_ON_TARGET',
  )
}

function judge(
  table: Table | Unfit | undefined,
  { target, random }: PlanContext<DbReader>,
  wanted: readonly string[] | undefined,
  triggers: 'allow' | undefined,
): Chosen | Unfit {
  if (!table) return { reason: 'it is gone' }
  if ('reason' in table) return table
  const unfit = unfitForWrites(table, 'update', NEEDS, target.role, triggers)
  if (unfit) return unfit
  const found = keyOf(table)
  if (!found) return { reason: 'it has no primary key and no unique key of NOT NULL columns' }
  // Rows are named one by one here, integers too.
  const key: Key = { columns: found.columns, integer: false }
  const obstacles = new Map(table.columns.map((column) => [column, obstacle(table, column)]))
  const asked = table.columns.filter((c) => wanted === undefined || wanted.includes(c.name))
  const able = asked.filter((c) => obstacles.get(c) === undefined)
  const refused = wanted && asked.find((c) => obstacles.get(c) !== undefined)
  if (refused) return { reason: `its column ${refused.name} ${obstacles.get(refused) ?? ''}` }
  if (wanted && asked.length === 0) return { reason: `it has no column ${wanted.join(' or ')}` }
  if (able.length > 0) return { table, key, columns: pickColumns(table, able, wanted, random), pure: false }
  const bound = table.references.flatMap((k) => k.columns)
  const [small] = table.columns
    .filter((c) => !c.generated && !c.sequence && c.mayUpdate && !key.columns.some((k) => k.name === c.name))
    .filter((c) => !table.triggers.some((t) => t.on.update && t.columns.includes(c.name)))
    .filter((c) => !table.partitions?.columns.includes(c.name))
    .sort((a, b) => Number(bound.includes(a.name)) - Number(bound.includes(b.name)))
  if (small) return { table, key, columns: [small], pure: true }
  return { reason: 'it has no column besides its key that could be written' }
}

/** Those that nothing else depends on first; what was asked for by name is used whole. */
function pickColumns(
  table: Table,
  able: readonly Column[],
  wanted: readonly string[] | undefined,
  random: PlanContext<DbReader>['random'],
): Column[] {
  if (wanted) return [...able]
  const indexed = new Set(table.indexes.flatMap((i) => i.uses))
  const shuffled = random.fork(`${table.id}/columns`).shuffle(able)
  const free = shuffled.filter((c) => !indexed.has(c.name))
  return (free.length > 0 ? free : shuffled).slice(0, COLUMNS)
}

/** Why a column's value cannot be changed and put back by comparing; undefined when it can. */
function obstacle(table: Table, column: Column): string | undefined {
  const within = (columns: readonly string[]): boolean => columns.includes(column.name)
  if (!column.mayUpdate) return 'may not be updated by our role'
  if (column.generated || column.sequence) return 'is filled by the server'
  if (table.indexes.some((i) => (i.unique || i.exclusion) && within(i.uses))) return 'is part of a unique key'
  if (table.references.some((k) => within(k.columns)) || table.referencedBy.some((k) => within(k.refs))) {
    return 'is part of a foreign key'
  }
  if (table.checks.some((k) => within(k.columns)) || column.domainChecks.length > 0) return 'is limited by a CHECK'
  if (table.columns.some((c) => within(c.uses))) return 'is what a generated column is made of'
  if (table.partitions && within(table.partitions.columns)) return 'decides which partition a row is in'
  const trigger = table.triggers.find((t) => t.on.update && within(t.columns))
  if (trigger) return `has a trigger (${trigger.name})`
  if (!manyValued(column.value)) {
    return `has a type (${column.type}) with too few values to tell ours from the application's`
  }
  return undefined
}

interface Row {
  key: string[]
  bytes: number
}

interface Sampled {
  rows: Row[]
  /** Which rows were left out for what is in them, as the rest of a sentence. */
  except?: string
}

function noneLeft(except: string | undefined): string {
  return except === undefined ? 'it has no rows left to change' : `of all its rows ${except}`
}

/** At most `count` rows spread over the table, none that an earlier invocation of this run has taken. */
async function sampleRows(
  ctx: PlanContext<DbReader>,
  chosen: Chosen,
  count: number,
  encoding: string | undefined,
): Promise<Sampled> {
  const fits = await staysFitting(ctx.target, chosen.table, chosen.pure ? [] : chosen.columns)
  const sample = (texts: 'all' | 'exact' | 'plain'): Promise<Row[]> => sampleOf(ctx, chosen, count, { texts, fits })
  const full = { rows: [], ...(fits === undefined ? {} : { except: 'there is no room on a page for a longer value' }) }
  if (encoding === undefined) {
    const rows = await sample('all')
    return rows.length > 0 ? { rows } : full
  }
  const except = `the texts of key and columns ${noForm(encoding)}`
  const plain = async (): Promise<Sampled> => ({ rows: await sample('plain'), except })
  try {
    const rows = await sample('exact')
    return rows.length > 0 ? { rows } : await plain()
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return plain()
  }
}

/**
 * `exact`: only rows whose texts come to us and go back as they are, told from those that were sampled; throws (`isUnreadable`)
 * where one does not come to us at all. `plain`: only rows whose texts are ASCII.
 */
async function sampleOf(
  ctx: PlanContext<DbReader>,
  { table, key, columns }: Chosen,
  count: number,
  { texts, fits }: { texts: 'all' | 'exact' | 'plain'; fits: string | undefined },
): Promise<Row[]> {
  const random = ctx.random.fork(`${table.id}/rows`)
  const seed = random.int(2 ** 31)
  const prefix = `${table.id}#`
  const spare = [...ctx.taken].filter((id) => id.startsWith(prefix)).length
  const wanted = count + spare
  const cells = [...columns, ...key.columns].map((c) => `t.${quoteIdent(c.name)}::text`)
  const bytes = cells.map((cell) => `coalesce(octet_length(${cell}), 0)`)
  const such = (test: (text: string) => string): string =>
    cells.map((_, i) => `${test(`x.v${i}`)} is not false`).join(' and ')
  const inside = [...(fits === undefined ? [] : ['x.fits']), ...(texts === 'plain' ? [such(isPlain)] : [])]
  // Behind the limit: what is not sampled need not come to us.
  const exact = texts === 'exact' ? `where ${such(returnsExactly)}` : ''
  const select = (sample: string, order: string): string =>
    `select ${key.columns.map((_, i) => `x.k${i}`).join(', ')}, x.bytes from (
       select * from (select x.* from (select ${keyCells(key)}, (${bytes.join(' + ')}) as bytes, t.ctid as place, (${fits ?? 'true'}) as fits,
             ${cells.map((cell, i) => `${cell} as v${i}`).join(', ')}
         from ${quoteTable(table)} as t ${sample}) as x ${inside.length === 0 ? '' : `where ${inside.join(' and ')}`}) as s
      where s.bytes <= ${ROW_BYTES} ${order} limit ${wanted}) as x ${exact}`
  const spread = `order by md5(s.place::text || '${seed}')`
  const percent = Math.min(100, (2_000 * wanted) / Math.max(1, table.rows))
  const read = async (sample: string, order: string): Promise<Row[]> => {
    const rows = await ctx.target.query(select(sample, order))
    return rows
      .map((row) => ({ key: keyFrom(key, row), bytes: Number(row['bytes']) }))
      .filter((row) => !ctx.taken.has(prefix + row.key.join(',')))
      .slice(0, count)
  }
  if (table.rows <= LARGE) return read('', spread)
  const sampled = await read(`tablesample system (${percent}) repeatable (${seed})`, spread)
  return sampled.length > 0 ? sampled : read('', '')
}

function toSteps(chosen: Chosen, rows: Row[], { random }: PlanContext<DbReader>): Planned<UpdateStep>[] {
  const { table, key, columns, pure } = chosen
  const parts = inParts(rows)
  const fires = firing(table, 'update')
  const { id, schema, table: name, oid, shape } = table
  const changed = columns.map((c) => c.name).join(', ')
  return parts.map((part, i) => ({
    resource: id,
    touches: [id],
    takes: part.map((row) => `${id}#${row.key.join(',')}`),
    rows: part.length,
    describe:
      `${pure ? 'rewrite' : 'update'} ${changed} of ${plural(part.length)} of ${id}` +
      (parts.length > 1 ? ` (batch ${i + 1} of ${parts.length})` : '') +
      (pure ? ' with the values they have' : ''),
    step: {
      ...{ id, schema, table: name, oid, shape, key, pure },
      columns: columns.map((c) => ({ name: c.name, attnum: c.attnum, type: c.type, value: c.value })),
      keys: part.map((row) => row.key),
      ...(fires.length === 0 ? {} : { trigger_functions: fires.map((t) => t.function) }),
      seed: random
        .fork(`${id}/${i}`)
        .int(2 ** 48)
        .toString(36),
    },
  }))
}

/** By number of rows and by the bytes of their values. */
function inParts(rows: readonly Row[]): Row[][] {
  const parts: Row[][] = []
  let bytes = Infinity
  for (const row of rows) {
    const last = parts.at(-1)
    if (!last || last.length >= ROWS || bytes + row.bytes > BYTES) {
      parts.push([row])
      bytes = row.bytes
    } else {
      last.push(row)
      bytes += row.bytes
    }
  }
  return parts
}

function plural(rows: number): string {
  return rows === 1 ? '1 row' : `${rows} rows`
}

function noteOf({ table, columns }: Chosen): string {
  const names = columns.map((c) => c.name).join(', ')
  return `no column of ${table.id} can be changed and put back by comparing; ${names} is written with the values it has`
}
