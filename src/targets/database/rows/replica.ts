/** A server in recovery (a read replica): what does not work there is said in plan, in one line. */
import { RefusedError } from '../../../core/errors.ts'

/** Throws REFUSED_UNSUITABLE on a read replica; `why` says what the skill would do there: `writes rows`. */
export async function refuseOnReplica(isReplica: Promise<boolean>, skill: string, why: string): Promise<void> {
  if (!(await isReplica)) return
  throw new RefusedError(
    'REFUSED_UNSUITABLE',
    `${skill} ${why}, and this server is a read replica (in recovery), which does not allow it: let connection_url point at its primary`,
  )
}
