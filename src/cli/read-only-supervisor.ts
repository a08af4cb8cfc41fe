/** A supervisor for the commands that only look: no lock, no sinks, and no state folder made. */
import { systemClock } from '../core/clock.ts'
import type { Experiment } from '../core/experiment.ts'
import { LocalClaims } from '../supervisor/claims.ts'
import { noLock } from '../supervisor/lock.ts'
import { Supervisor } from '../supervisor/supervisor.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import { stateDirOf } from './context.ts'
import type { Context } from './context.ts'

export async function onlooker(
  context: Context,
  stateDir: string | undefined,
  experiments: readonly Experiment[],
): Promise<Supervisor> {
  return new Supervisor({
    state: await peekStateDir(stateDirOf(stateDir, context.env)),
    claims: new LocalClaims(),
    lock: noLock,
    main: context.main,
    targets: await context.targets(),
    clock: systemClock,
    emit: () => undefined,
    experiments: () => experiments,
  })
}
