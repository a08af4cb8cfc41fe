/** Choosing tables, columns and rows for db.update_load; changes nothing. */
import { ConfigError } from '../../../core/errors.ts'
import type { Plan, PlanContext, Planned } from '../../../core/skill.ts'
import type { DbReader } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import { readCatalog } from './catalog.ts'
import type { Column, Privilege, Table } from './facts.ts'
import { keyOf } from './keys.ts'
import type { Key } from './keys.ts'
import { refuseOnReplica } from './replica.ts'
import { refusal, skippedFor, tablesFor, unfitForWrites, unreadable } from './suitable.ts'
import { noneLeft, sampleRows } from './sample-rows.ts'
import type { ChosenRows, SampledRow } from './sample-rows.ts'
import type { Unfit } from './suitable.ts'
import { firing, firingNotes } from './triggers.ts'
import { resolveTables } from './names.ts'
import type { TableRef } from './table-ref.ts'
import type { UpdateParams, UpdateStep } from './update-step.ts'
import { manyValued } from './values/value.ts'

const NEEDS: readonly Privilege[] = ['USAGE', 'SELECT', 'UPDATE']
/** Of one step. */
const ROWS = 500
const BYTES = 256 * 1024
/** Columns changed in one row at most. */
const COLUMNS = 3

export async function planUpdates(
  dialect: Dialect,
  ctx: PlanContext<DbReader>,
  params: UpdateParams,
): Promise<Plan<UpdateStep>> {
  await refuseOnReplica(dialect.isReplica(ctx.target), 'db.update_load', 'writes rows')
  const named = params.tables && (await resolveTables(dialect.catalog, ctx.target, ctx.all, params.tables))
  const { chosen, unfit } = await choose(dialect, ctx, params, named)
  const encoding = chosen.length > 0 ? await dialect.catalog.encoding(ctx.target) : undefined
  const steps: Planned<UpdateStep>[] = []
  const notes: string[] = []
  let left = params.rows
  for (const [i, one] of chosen.entries()) {
    ctx.signal.throwIfAborted()
    const sampled = await sampleRows(dialect, ctx, one, Math.ceil(left / (chosen.length - i)), encoding).catch(
      (error: unknown) => unreadable(dialect, error),
    )
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
  dialect: Dialect,
  ctx: PlanContext<DbReader>,
  { rows, columns: wanted, triggers }: UpdateParams,
  named: TableRef[] | undefined,
): Promise<{ chosen: ChosenRows[]; unfit: Map<{ id: string }, Unfit> }> {
  const { candidates, aside, most } = tablesFor(ctx, named)
  const catalog = await readCatalog(dialect, ctx.target, candidates)
  if (wanted && catalog.unreadable.size === 0) refuseUnknown(wanted, [...catalog.known.values()])
  const chosen: ChosenRows[] = []
  const unfit = new Map<{ id: string }, Unfit>(aside)
  for (const ref of candidates) {
    const judged = judge(dialect, catalog.known.get(ref.id) ?? catalog.unreadable.get(ref.id), ctx, wanted, triggers)
    if ('reason' in judged) unfit.set(ref, judged)
    else chosen.push(judged)
  }
  // Rows that really change come before a mere write load.
  const limit = Math.min(rows, most)
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
  dialect: Dialect,
  table: Table | Unfit | undefined,
  { target, random }: PlanContext<DbReader>,
  wanted: readonly string[] | undefined,
  triggers: 'allow' | undefined,
): ChosenRows | Unfit {
  if (!table) return { reason: 'it is gone' }
  if ('reason' in table) return table
  const unfit = unfitForWrites(dialect, table, 'update', NEEDS, target.role, triggers)
  if (unfit) return unfit
  const found = keyOf(table, dialect.equality)
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

function toSteps(chosen: ChosenRows, rows: SampledRow[], { random }: PlanContext<DbReader>): Planned<UpdateStep>[] {
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
function inParts(rows: readonly SampledRow[]): SampledRow[][] {
  const parts: SampledRow[][] = []
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

function noteOf({ table, columns }: ChosenRows): string {
  const names = columns.map((c) => c.name).join(', ')
  return `no column of ${table.id} can be changed and put back by comparing; ${names} is written with the values it has`
}
