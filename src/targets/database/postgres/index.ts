/** PostgreSQL as a dialect: its verbs together. What connects is loaded by itself, since only workers need it. */
import type { Dialect } from '../dialect.ts'
import { watchBlockers } from './blockers.ts'
import { removeByHand } from './by-hand/delete.ts'
import { endSessionByHand } from './by-hand/session.ts'
import { swapBackByHand } from './by-hand/update.ts'
import { foreignEncoding } from './catalog/encoding.ts'
import { otherThanTable } from './catalog/other-kinds.ts'
import { loadNumbers } from './catalog/sequences.ts'
import { lockDefinition, refuseForeignCode, requireOwnCode } from './catalog/own-code.ts'
import { columnsNow } from './catalog/renamed.ts'
import { loadCatalog, loadReferencing, locateTables, lockAsPlanned, partsWith } from './catalog/tables.ts'
import { insertBatch } from './insert.ts'
import { firstAdopting } from './orphans.ts'
import { removals } from './removal.ts'
import { samples } from './samples.ts'
import { pathOf } from './search-path.ts'
import { EQUALITY, grantLine } from './sql.ts'
import { transactions } from './transactions.ts'
import { trials } from './trials.ts'
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
  equality: EQUALITY,
  grant(privileges, on, role) {
    const what = 'table' in on ? on.table : 'schema' in on ? `SCHEMA ${on.schema}` : `SEQUENCE ${on.sequence}`
    return grantLine(privileges.join(', '), what, role)
  },
  locks,
  sessions,
  settings,
  transactions,
  catalog: { load: loadCatalog, numbers: loadNumbers, encoding: foreignEncoding, otherThanTable },
  tables: {
    locate: locateTables,
    columnsNow,
    referencing: loadReferencing,
    async fileOf(on, oid) {
      const [row] = await on.query<{ file: string | null }>('select pg_relation_filenode($1::oid)::text as file', [oid])
      return row?.file ?? null
    },
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
  samples,
  trials,
  inserts: { path: pathOf, batch: insertBatch, firstAdopting },
  removals,
  examples: {
    setting: { param: 'work_mem', values: ['1MB', '2MB'] },
    settingComment: [
      'Less memory for sorts and joins, for every session of the whole server.',
      'Undone: the line in postgresql.auto.conf is as it was, or gone.',
    ].join('\n'),
    lock: 'SHARE',
    table: 'public.name_of_a_table',
  },
  updates: { lockRows, overwrite, asTyped, states: statesOf, swapBack, swapStrays },
  byHand: {
    endSession: endSessionByHand,
    putSettingBack: settingByHand,
    remove: removeByHand,
    swapBack: swapBackByHand,
  },
}
