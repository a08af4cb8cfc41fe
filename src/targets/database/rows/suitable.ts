/** Tables that writes of ours must keep away from, and why. */
import { messageOf, RefusedError, TargetError } from '../../../core/errors.ts'
import { pickingOf } from '../../../core/pick.ts'
import type { PlanContext, Skipped } from '../../../core/skill.ts'
import type { Dialect } from '../dialect.ts'
import type { ForeignKey, Privilege, Table } from './facts.ts'
import { unfitPartitions } from './partitions.ts'
import { tableOf } from './names.ts'
import type { TableRef } from './table-ref.ts'
import { firing } from './triggers.ts'
import type { Writes } from './triggers.ts'

export interface Unfit {
  reason: string
  /** The GRANT lines that would lift it. */
  fix?: string
}

type Grant = Dialect['grant']

/** Why no skill may write rows of this table; undefined when it may. */
export function unfitForWrites(
  { grant }: Dialect,
  table: Table,
  writes: Writes,
  needs: readonly Privilege[],
  role: string,
  allowed: 'allow' | undefined,
): Unfit | undefined {
  if (table.partitionOf !== null) {
    return { reason: `it is a partition of ${table.partitionOf}: its rows are reached through that table` }
  }
  const apart = table.partitions && unfitPartitions(table.partitions)
  if (apart) return { reason: apart }
  if (table.inherits) return { reason: 'it is part of an inheritance tree' }
  if (table.extension !== null) return { reason: `it belongs to the extension ${table.extension}` }
  const triggers = firing(table, writes).map((trigger) => trigger.name)
  if (triggers.length > 0 && allowed === undefined)
    return { reason: `its triggers (${triggers.join(', ')}) would act on our rows` }
  if (table.foreignCode !== null) return { reason: `code of others would run: ${table.foreignCode}` }
  if (table.rules.length > 0) return { reason: `its rules (${table.rules.join(', ')}) would act on our rows` }
  if (table.rowSecurity) return { reason: `row-level security applies to ${role}` }
  if (table.unreplicable) return { reason: 'it is published without a replica identity, so rows cannot be taken back' }
  return missing(grant, table, needs, role)
}

/** Why rows added to this table could not be taken back without harm to others. */
export function unfitForDeletes({ grant }: Dialect, table: Table, role: string): Unfit | undefined {
  if (table.foreignBeside !== null) return { reason: `code of others would run: ${table.foreignBeside}` }
  for (const key of table.referencedBy) {
    if (key.from.id === table.id) continue
    if (!key.mayReadFrom) return mayNotRead(grant, key, key.from, 'which refers to it', role)
    if (key.fromHidden) return { reason: `row-level security hides rows of ${key.from.id}, which refers to it` }
  }
  for (const key of table.references) {
    if (!key.mayReadTo) return mayNotRead(grant, key, key.to, 'which it refers to', role)
  }
  const denied = table.columns.find((c) => c.deniedSequence !== null)?.deniedSequence
  if (denied) {
    return { reason: `${role} may not use ${denied}`, fix: grant(['USAGE'], { sequence: denied }, role) }
  }
  return undefined
}

function missing(grant: Grant, table: Table, needs: readonly Privilege[], role: string): Unfit | undefined {
  const denied = needs.filter((privilege) => table.denied.has(privilege))
  if (denied.length === 0) return undefined
  const onTable = denied.filter((privilege) => privilege !== 'USAGE')
  const fixes = [
    ...(denied.includes('USAGE') ? [grant(['USAGE'], { schema: schemaOf(table.id) }, role)] : []),
    ...(onTable.length > 0 ? [grant(onTable, { table: table.id }, role)] : []),
  ]
  return { reason: `${role} lacks ${denied.join(', ')}`, fix: fixes.join(' ') }
}

function mayNotRead(grant: Grant, key: ForeignKey, other: { id: string }, how: string, role: string): Unfit {
  const fix = grant(['SELECT'], { table: other.id }, role)
  return { reason: `${role} may not read ${other.id}, ${how} (${key.name})`, fix }
}

/** The schema's part of a resource id, quoted as it stands there. */
function schemaOf(id: string): string {
  return /^("(?:[^"]|"")*"|[^.]*)\./.exec(id)?.[1] ?? id
}

/** The tables that a load may choose from: those that its params name, all of them; else what it may pick by itself. */
export function tablesFor(
  ctx: PlanContext<unknown>,
  named: TableRef[] | undefined,
): { candidates: TableRef[]; aside: [TableRef, Unfit][]; most: number } {
  if (named) return { candidates: named, aside: [], most: Infinity }
  const { candidates, aside, most } = pickingOf(ctx, 'table')
  return {
    candidates: candidates.map(tableOf),
    aside: aside.map((resource) => [tableOf(resource), { reason: resource.aside ?? '' }]),
    most,
  }
}

/** A table that somebody has locked, or that takes too long to look at, is passed over; other errors are not about it. */
export function unreadable({ kindOf }: Dialect, error: unknown): Unfit {
  if (!['denied', 'locked', 'timeout'].includes(kindOf(error) ?? '')) throw error
  return { reason: `it cannot be looked at: ${messageOf(error)}` }
}

/** What plan says of a table that it passed over. */
export function skippedFor(table: { id: string }, { reason, fix }: Unfit): Skipped {
  return { resource: table.id, reason, ...(fix === undefined ? {} : { fix }) }
}

/** The same as an error, for a table that params named. */
export function refusal(skill: string, table: { id: string }, { reason, fix }: Unfit): Error {
  const message = `${skill} cannot use ${table.id}: ${reason}`
  if (fix !== undefined) return new TargetError('TARGET_PRIVILEGE', `${message}; ${fix}`, { fix })
  return new RefusedError('REFUSED_UNSUITABLE', `${message}; choose another table or leave it out`)
}
