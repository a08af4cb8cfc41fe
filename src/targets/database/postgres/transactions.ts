/** Transactions of ours: their beginning and end, and what shows later what became of them. */
import type { Queries } from '../client.ts'
import type { Transactions } from '../dialect.ts'
import { sqlState } from './sql.ts'

export const transactions: Transactions = {
  async begin(on) {
    await on.query('begin')
  },
  async commit(on) {
    await on.query('commit')
  },
  async rollback(on) {
    await on.query('rollback')
  },
  async undone(on, work) {
    await on.query('savepoint chaos_trial')
    const result = await work()
    await on.query('rollback to savepoint chaos_trial')
    return result
  },
  async current(on) {
    const [row] = await on.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
    return row?.xid ?? ''
  },
  fate,
  // The lower half of the number, which rows carry as xmin.
  async writer(on, xid) {
    const [row] = await on.query<{ next: string }>('select pg_snapshot_xmax(pg_current_snapshot())::text as next')
    return BigInt(row?.next ?? 0) - BigInt(xid) < 2n ** 32n ? (BigInt(xid) & 0xffffffffn).toString() : undefined
  },
  makeNumbersDurable,
  async history(on) {
    const [row] = await on.query<{ start: string; timeline: string | null }>(
      `select pg_postmaster_start_time()::text as start, case when not pg_is_in_recovery() and
       has_function_privilege('pg_current_wal_lsn()', 'EXECUTE') and has_function_privilege('pg_walfile_name(pg_lsn)', 'EXECUTE')
       then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline`,
    )
    return { start: row?.start ?? '', timeline: row?.timeline ?? null }
  },
}

async function fate(on: Queries, xid: string): Promise<'committed' | 'aborted' | 'running' | 'unknown'> {
  let status: string | null | undefined
  try {
    const [row] = await on.query<{ status: string | null }>('select pg_xact_status($1::text::xid8) as status', [xid])
    status = row?.status
  } catch (error) {
    // A crash of the server took the transaction with it, number and all.
    if (sqlState(error) === '22023') return 'aborted'
    throw error
  }
  if (status === 'in progress') return 'running'
  return status === 'committed' || status === 'aborted' ? status : 'unknown'
}

/** Writes the server's log up to here, with the transaction's number and what sequences gave it. Only version 17 and later can be told to. */
async function makeNumbersDurable(on: Queries): Promise<boolean> {
  const [able] = await on.query<{ ok: string | null }>(
    `select pg_catalog.has_function_privilege(
       pg_catalog.to_regprocedure('pg_catalog.pg_logical_emit_message(boolean,text,text,boolean)'), 'EXECUTE')::text as ok`,
  )
  if (able?.ok !== 'true') return false
  await on.query(`select pg_catalog.pg_logical_emit_message(false, 'chaos-agents', '', true)`)
  return true
}
