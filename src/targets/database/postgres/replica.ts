/** A server in recovery (a read replica): what does not work there is said in plan, in one line. */
import { RefusedError } from '../../../core/errors.ts'
import type { DbReader } from '../dialect.ts'

/** Throws REFUSED_UNSUITABLE on a read replica; `why` says what the skill would do there: `writes rows`. */
export async function refuseOnReplica(target: Pick<DbReader, 'query'>, skill: string, why: string): Promise<void> {
  const [row] = await target.query<{ replica: string }>('select pg_is_in_recovery()::text as replica')
  if (row?.replica !== 'true') return
  throw new RefusedError(
    'REFUSED_UNSUITABLE',
    `${skill} ${why}, and this server is a read replica (in recovery), which does not allow it: let connection_url point at its primary`,
  )
}
