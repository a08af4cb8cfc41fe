/** The daemon's recovery: one bounded round at its start; later, what is still not clean is tried again, ever more rarely. */
import { slept } from '../core/clock.ts'
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import { atMost } from '../core/within.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'

export interface RecoveryRounds {
  supervisor: Supervisor
  clock: Clock
  /** Aborts when the daemon must stop. */
  stop: AbortSignal
}

/** One target that hangs must not keep the others from being scheduled. */
const RECOVERY_ROUND_MS = 30_000
const RETRY_FIRST_MS = 5_000
const RETRY_LONGEST_MS = 5 * 60_000

/**
 * Resolves when everything is recovered, or after 30 s: what is still being undone then stays blocked, and `rest` resolves
 * when it is over. Rejects as the recovery does within that time.
 */
export async function firstRound({ supervisor, clock, stop }: RecoveryRounds): Promise<{ rest: Promise<void> }> {
  const round = supervisor.recoverAll({ noProgressMs: RECOVERY_ROUND_MS })
  await atMost(
    { ms: RECOVERY_ROUND_MS, clock },
    () => round,
    () => undefined,
    stop,
  )
  return {
    rest: round.then(
      () => undefined,
      (error: unknown) => warn(supervisor, error),
    ),
  }
}

/** Resolves when the daemon stops. After a round with something to do the pause is twice as long as before it. */
export async function retryBlocked({ supervisor, clock, stop }: RecoveryRounds): Promise<void> {
  let pause = RETRY_FIRST_MS
  while (await slept(clock, pause, stop)) {
    if (supervisor.blocked.length === 0) {
      pause = RETRY_FIRST_MS
      continue
    }
    pause = Math.min(pause * 2, RETRY_LONGEST_MS)
    try {
      await supervisor.recoverAll({ noProgressMs: RECOVERY_ROUND_MS })
    } catch (error) {
      warn(supervisor, error)
    }
    for (const { run, reason, code, quarantined } of supervisor.blocked)
      supervisor.tell({
        ...{ type: 'recovery.retry', run, in_ms: pause, reason },
        ...(code === undefined ? {} : { code }),
        ...(quarantined ? { quarantined } : {}),
      })
  }
}

function warn(supervisor: Supervisor, error: unknown): void {
  supervisor.tell({ type: 'warning', code: 'recovery', message: `recovery: ${messageOf(error)}` })
}
