/** What the daemon does for each request at its control socket. */
import type { Clock } from '../../core/clock.ts'
import { CodedError } from '../../core/errors.ts'
import type { Config } from '../../core/experiment.ts'
import { acceptLoss } from '../../journal/accept-loss.ts'
import type { Kept } from '../../journal/accept-loss.ts'
import type { Request } from './messages.ts'
import type { Daemon } from '../daemon.ts'
import type { Supervisor } from '../../supervisor/supervisor.ts'
import type { Trust } from '../trust.ts'

export interface CommandTargets {
  daemon: Daemon
  supervisor: Supervisor
  trust: Trust
  /** What an operator may give up a loss in. */
  state: Kept
  clock: Clock
  /** As SIGTERM does, for whom no signal reaches. */
  stop(): void
}

/** Somebody is watching: an undo that waits for a lock may take longer than in the daemon's own rounds. */
const NO_PROGRESS_MS = 60_000

export async function obey(
  request: Request,
  { daemon, supervisor, trust, state, clock, stop }: CommandTargets,
): Promise<unknown> {
  switch (request.op) {
    case 'status':
      return daemon.status
    case 'stop':
      stop()
      return undefined
    case 'abort':
      return daemon.abort(request.run, request.reason)
    case 'run-now': {
      await daemon.ordersChanged()
      const { run, report } = await daemon.runNow(request.experiment)
      if (!request.wait) {
        report.catch(() => undefined)
        return { run }
      }
      return { run, report: await report }
    }
    case 'reload': {
      const { file, experiments, warnings }: Config = await daemon.reload()
      return { file, experiments: experiments.length, warnings }
    }
    case 'freeze':
      return daemon.freeze(request.reason, request.for_ms)
    case 'unfreeze':
      return daemon.unfreeze()
    case 'disable':
      return daemon.disable(request.experiment, request.until)
    case 'enable':
      return daemon.enable(request.experiment)
    case 'trust':
      return trust.trust(request.experiment)
    case 'recover': {
      const { run, hand_over } = request
      const recovered = await supervisor.recoverAll({
        noProgressMs: NO_PROGRESS_MS,
        ...(run === undefined ? {} : { only: run }),
        ...(hand_over === undefined ? {} : { handOver: hand_over }),
      })
      if (run === undefined || request.accept_loss === undefined) return { recovered, pending: supervisor.blocked }
      if (request.accept_loss.note.trim() === '')
        throw new CodedError('USAGE', '--note is needed: why what is unreadable may be lost, for the report')
      const accepted = await acceptLoss(state, { run, note: request.accept_loss.note, now: clock.now() })
      // Looks again, and finds that nothing is left of that run.
      await supervisor.recoverAll({ noProgressMs: NO_PROGRESS_MS, only: run })
      return { recovered, pending: supervisor.blocked, accepted }
    }
    default:
      throw new CodedError(
        'USAGE',
        `this daemon does not know ${JSON.stringify((request as { op?: unknown }).op)}: it is of another version than the command`,
      )
  }
}
