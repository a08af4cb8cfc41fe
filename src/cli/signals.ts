/** SIGINT, SIGTERM and SIGHUP as one orderly stop; a second one explains instead of skipping the undo. */
import { CodedError } from '../core/errors.ts'

export interface StopSignals {
  /** Aborts at the first signal; its reason names it. */
  readonly signal: AbortSignal
  /** What a clean command that was stopped exits with: 130 for SIGINT, 143 for other signals. */
  readonly exitCode: number
  /** As a signal would, for a reason of our own; its exit code becomes the command's. */
  stop(reason: CodedError): void
  /** From now on SIGHUP does this, and stops nothing. */
  hangupMeans(act: () => void): void
  dispose(): void
}

export function onStopSignals(say: (text: string) => void): StopSignals {
  const controller = new AbortController()
  let exitCode = 0
  const handler = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      say(
        'The undo is still running; it is not skipped. `kill -9` would end this process, and the next start would finish the undo.\n',
      )
      return
    }
    exitCode = name === 'SIGINT' ? 130 : 143
    controller.abort(new CodedError('ABORTED', name))
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  let hangup: (() => void) | undefined
  const handle = (name: NodeJS.Signals): void => (name === 'SIGHUP' && hangup ? hangup() : handler(name))
  for (const name of names) process.on(name, handle)
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode
    },
    stop(reason) {
      exitCode = reason.exitCode
      controller.abort(reason)
    },
    hangupMeans(act) {
      hangup = act
    },
    dispose() {
      for (const name of names) process.off(name, handle)
    },
  }
}
