/** PostgreSQL as a dialect: its verbs together. What connects is loaded by itself, since only workers need it. */
import type { Dialect } from '../dialect.ts'
import { watchBlockers } from './blockers.ts'
import { endSessionByHand } from './by-hand/session.ts'
import { swapBackByHand } from './by-hand/update.ts'
import { lockDefinition, refuseForeignCode, requireOwnCode } from './catalog/own-code.ts'
import { columnsNow } from './catalog/renamed.ts'
import { locateTables, lockAsPlanned, partsWith } from './catalog/tables.ts'
import { fateOf, stubbornly, uncommitted } from './fate.ts'
import { asTyped, statesOf, swapBack, swapStrays } from './swap.ts'
import { lockRows, overwrite } from './write.ts'
import { kindOf } from './errors.ts'
import { sessions } from './held-session.ts'
import { locks } from './locks.ts'
import { settingByHand, settings } from './settings/change.ts'
import { sizeOf } from './type-size.ts'

export const postgres: Dialect = {
  kindOf,
  async isReplica(on) {
    const [row] = await on.query<{ replica: string }>('select pg_is_in_recovery()::text as replica')
    return row?.replica === 'true'
  },
  watchBlockers,
  typeSize: sizeOf,
  locks,
  sessions,
  settings,
  transactions: {
    uncommitted,
    async commit(on) {
      await on.query('commit')
    },
    async current(on) {
      const [row] = await on.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
      return row?.xid ?? ''
    },
    fate: fateOf,
    stubbornly,
  },
  tables: {
    locate: locateTables,
    columnsNow,
    async isPartitioned(on, oid) {
      const rows = await on.query(`select 1 as one from pg_class c where c.oid = $1::oid and c.relkind = 'p'`, [oid])
      return rows.length > 0
    },
    partsWith,
    lockAsPlanned,
    lockDefinition,
    refuseForeignCode,
    requireOwnCode,
  },
  updates: { lockRows, overwrite, asTyped, states: statesOf, swapBack, swapStrays },
  byHand: { endSession: endSessionByHand, putSettingBack: settingByHand, swapBack: swapBackByHand },
}
