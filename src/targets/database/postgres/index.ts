/** PostgreSQL as a dialect: its verbs together. What connects is loaded by itself, since only workers need it. */
import type { Dialect } from '../dialect.ts'
import { watchBlockers } from './blockers.ts'
import { endSessionByHand } from './by-hand/session.ts'
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
  byHand: { endSession: endSessionByHand, putSettingBack: settingByHand },
}
