/** A supervisor around one command: the state folder locked, signals turned into an orderly stop, everything released at the end. */
import { systemClock } from '../core/clock.ts'
import { CodedError } from '../core/errors.ts'
import type { ChaosEvent } from '../core/events.ts'
import type { Experiment } from '../core/experiment.ts'
import { LocalClaims } from '../supervisor/claims.ts'
import { lockState } from '../supervisor/lock.ts'
import type { StateLock } from '../supervisor/lock.ts'
import { Supervisor } from '../supervisor/supervisor.ts'
import { refuseForeign } from '../journal/exposed.ts'
import { openStateDir } from '../journal/state-dir.ts'
import type { StateDir } from '../journal/state-dir.ts'
import type { Context } from './context.ts'
import { onStopSignals } from './signals.ts'
import type { StopSignals } from './signals.ts'

export interface Supervised {
  supervisor: Supervisor
  state: StateDir
  signals: StopSignals
  lock: StateLock
}

export interface SupervisedOptions {
  command: string
  stateDir: string
  /** As they are now: where a recovery finds a rotated password. */
  experiments(): readonly Experiment[]
  emit(event: ChaosEvent): void
}

export async function supervised<T>(
  context: Context,
  options: SupervisedOptions,
  work: (all: Supervised) => Promise<T>,
): Promise<T> {
  refuseForeign(options.stateDir)
  const state = await openStateDir(options.stateDir)
  const signals = onStopSignals((text) => context.err(text))
  try {
    const lock = await lockState(state.path, options.command, systemClock, (error) => {
      signals.stop(new CodedError('LOCKED', `the lock on ${state.path} was lost: ${error.message}`, { cause: error }))
    })
    const supervisor = new Supervisor({
      state,
      claims: new LocalClaims(),
      lock,
      main: context.main,
      targets: await context.targets(),
      clock: systemClock,
      emit: (event) => options.emit(event),
      experiments: () => options.experiments(),
    })
    try {
      return await work({ supervisor, state, signals, lock })
    } finally {
      await lock.release()
    }
  } finally {
    signals.dispose()
  }
}

/** On a signal everything is undone; past the deadline the journal keeps the rest for the next start. */
export function stopOnSignal(
  signal: AbortSignal,
  supervisor: Supervisor,
  deadlineMs: number,
): { done(): Promise<void> } {
  let stopping: Promise<void> | undefined
  const stop = (): void => {
    stopping ??= supervisor.stop((signal.reason as Error).message, deadlineMs)
  }
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  return { done: () => stopping ?? Promise.resolve() }
}
