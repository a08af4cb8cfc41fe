/** Before a statement of ours touches rows: a lock that keeps the definition of the table, and a look at whose code it runs. */
import { RollbackError, StaleError } from '../../../../core/errors.ts'
import { foreignCode, foreignTrigger, neighbours } from './foreign-code.ts'
import { quoteIdent, quoteTable } from '../sql.ts'
import type { Queries } from '../../client.ts'
import type { RowEvent } from '../../verbs/writing.ts'
import type { TableRef } from '../../rows/table-ref.ts'

type Name = Pick<TableRef, 'schema' | 'table'>

/**
 * Locks a table, and its partitions, as a DELETE or UPDATE would, until the end of the transaction. The statement is parsed and
 * never planned: planning evaluates expressions of indexes. LOCK TABLE would ask for privileges on the whole table.
 */
export async function lockDefinition(on: Queries, table: Name, column?: string): Promise<void> {
  const lock = async (one: Name): Promise<void> => {
    const set = column === undefined ? '' : `${quoteIdent(column)} = ${quoteIdent(column)}`
    const name = quoteTable(one)
    await on.query(
      `prepare chaos_lock as ${set === '' ? `delete from ${name} where false` : `update ${name} set ${set} where false`}`,
    )
    await on.query('deallocate chaos_lock')
  }
  await lock(table)
  const parts = await on.query<{ schema: string; table: string }>(
    `select n.nspname::text as schema, c.relname::text as table
       from pg_class r join pg_namespace rn on rn.oid = r.relnamespace
       cross join lateral pg_partition_tree(r.oid) pt join pg_class c on c.oid = pt.relid
       join pg_namespace n on n.oid = c.relnamespace
      where rn.nspname = $1 and r.relname = $2 and r.relkind = 'p' and pt.level > 0 and c.relkind in ('r', 'p')
      order by c.oid`,
    [table.schema, table.table],
  )
  for (const part of parts) await lock(part)
}

/** Throws StaleError where code of others came in since the plan. `filled`: columns that we give values. */
export async function refuseForeignCode(
  on: Queries,
  { id, oid }: { id: string; oid: string },
  { filled, beside }: { filled?: readonly string[]; beside: boolean },
): Promise<void> {
  const own = (await foreignCode(on, [oid], 'write')).get(oid)
  const left = filled && [...(own?.defaults ?? [])].find(([column]) => !filled.includes(column))
  const reason = own?.table ?? left?.[1] ?? (beside ? await besideOf(on, oid, 'all') : undefined)
  if (reason !== undefined) throw new StaleError(`${id} has code of others by now: ${reason}`)
}

/**
 * Throws RollbackError where the undo would run code of others that came in meanwhile. Not even as the table's owner: what runs
 * in our session can take our role back, or leave something that runs as us at COMMIT.
 */
export async function requireOwnCode(
  on: Queries,
  { id, oid }: { id: string; oid: string },
  { event, allowed, referring }: RowEvent,
): Promise<void> {
  const touch = event === 'read' || event === 'DELETE' ? 'read' : 'write'
  const reason =
    (await foreignCode(on, [oid], touch)).get(oid)?.table ??
    (event === 'read' ? undefined : await foreignTrigger(on, oid, event, allowed)) ??
    (referring ? await besideOf(on, oid, 'referring') : undefined)
  if (reason === undefined) return
  throw new RollbackError(
    'RESIDUE',
    `${id} is not put back, because ${reason}; remove that, or put the rows back by hand as the table's owner`,
  )
}

async function besideOf(on: Queries, oid: string, which: 'referring' | 'all'): Promise<string | undefined> {
  const found = await foreignCode(on, await neighbours(on, oid, which), 'read')
  return [...found.values()].find(({ table }) => table !== undefined)?.table
}
