/**
 * The worker process: every connection to a target lives in one. It ignores signals and obeys its supervisor; when that
 * is gone it aborts, rolls back and ends.
 */
import { systemClock } from '../core/clock.ts'
import { CodedError, ConfigError, factsOf, messageOf, RefusedError, TargetError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import { maskOf } from '../core/filled.ts'
import type { Target } from '../core/target.ts'
import { choosePlaces, openFleet } from '../engine/fleet.ts'
import type { Fleet } from '../engine/fleet.ts'
import { planRun, refuseProtected } from '../engine/plan.ts'
import type { PlanInput } from '../engine/plan.ts'
import { recoverRun } from '../engine/recover.ts'
import { runExperiment } from '../engine/run.ts'
import { surveyTarget } from '../engine/survey.ts'
import { sweep } from '../engine/sweep.ts'
import type { PlaceStarted } from '../journal/journal.ts'
import { openStateDir, peekStateDir } from '../journal/state-dir.ts'
import { bootId } from './boot.ts'
import { liveRuns } from './live-runs.ts'
import { HEARTBEAT_MS } from './protocol.ts'
import type { FromWorker, Job, PlainError, Result, ToWorker } from './protocol.ts'

/** Runs the one job its parent sends, and resolves when it is done and told. */
export async function workerMain(targets: readonly Target[]): Promise<void> {
  const link = new Link()
  const heartbeat = setInterval(() => link.send({ type: 'heartbeat' }), HEARTBEAT_MS)
  try {
    const result = await doJob(await link.job, targets, link)
    await link.sendLast({ type: 'done', result })
  } catch (error) {
    await link.sendLast({ type: 'failed', error: toPlain(error) })
  } finally {
    clearInterval(heartbeat)
    link.close()
  }
}

/** The worker's end of the channel. A lost parent is an abort; talking to it is then a no-op. */
class Link {
  readonly job: Promise<Job>
  readonly #abort = new AbortController()
  #answer: ((message: Extract<ToWorker, { type: 'claimed' | 'refused' }>) => void) | undefined
  readonly #begins = new Map<string, () => void>()

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => undefined)
    // A bug outside every promise we await must not skip the undo: the run is aborted and rolled back, then it is reported.
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, (error: unknown) =>
        this.#stop(new CodedError('WORKER_LOST', `a bug: ${messageOf(error)}`, { cause: error })),
      )
    }
    const gone = (): void => this.#stop(new CodedError('ABORTED', 'the supervisor is gone'))
    process.on('disconnect', gone)
    this.job = new Promise((resolve, reject) => {
      process.on('message', (message: ToWorker) => {
        if (message.type === 'job') resolve(message.job)
        else if (message.type === 'abort') this.#stop(new CodedError('ABORTED', message.reason))
        else if (message.type === 'begin') this.#begins.get(message.system)?.()
        else this.#answer?.(message)
      })
      this.signal.addEventListener('abort', () => reject(this.signal.reason as Error))
    })
    this.job.catch(() => undefined)
    if (process.send === undefined) throw new CodedError('USAGE', 'a worker is started by chaos itself, not by hand')
    // It died while we were still loading: nobody will say so again, and waiting for it would hold the lock for ever.
    if (!process.connected) gone()
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  send(message: FromWorker): void {
    if (process.connected) process.send?.(message, () => undefined)
  }

  /** Resolves when the parent has it, or cannot get it any more. */
  sendLast(message: FromWorker): Promise<void> {
    return new Promise((resolve) => {
      if (process.connected) process.send?.(message, () => resolve())
      else resolve()
    })
  }

  /** Waits until this recovery may begin on a system; resolves with what says that it is done there. */
  async begin(system: string): Promise<() => void> {
    await new Promise<void>((resolve, reject) => {
      this.#begins.set(system, resolve)
      this.signal.addEventListener('abort', () => reject(this.signal.reason as Error), { once: true })
      this.signal.throwIfAborted()
      this.send({ type: 'begin', system })
    })
    return () => this.send({ type: 'left', system })
  }

  async claim(keys: string[], places: PlaceStarted[]): Promise<{ waited: boolean }> {
    const answer = await new Promise<Extract<ToWorker, { type: 'claimed' | 'refused' }>>((resolve, reject) => {
      this.#answer = resolve
      this.signal.addEventListener('abort', () => reject(this.signal.reason as Error), { once: true })
      this.signal.throwIfAborted()
      this.send({ type: 'claim', keys, places })
    })
    if (answer.type === 'claimed') return { waited: answer.waited }
    throw new RefusedError(answer.code, answer.message, { about: answer.about })
  }

  close(): void {
    if (process.connected) process.disconnect()
  }

  #stop(reason: Error): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(reason)
  }
}

async function doJob(job: Job, targets: readonly Target[], link: Link): Promise<Result> {
  const clock = systemClock
  const { signal } = link
  const emit = (event: EventBody): void =>
    link.send({ type: 'event', event: { ...event, at: new Date(clock.now()).toISOString(), run: job.run } })
  const target = find(targets, job.kind === 'recover' ? job.target : job.experiment.target)
  switch (job.kind) {
    case 'run': {
      const state = await openStateDir(job.state_dir)
      const claim = (keys: string[], places: PlaceStarted[]): Promise<{ waited: boolean }> => link.claim(keys, places)
      const input = { ...state, ...job, target, clock, signal, boot: bootId(), emit, claim }
      return { kind: 'report', report: await runExperiment(input) }
    }
    case 'recover': {
      const state = await openStateDir(job.state_dir)
      const input = {
        ...state,
        run: job.run,
        target,
        targetConfigs: job.target_configs,
        clock,
        signal,
        noProgressMs: job.no_progress_ms,
        boot: bootId(),
        ...(job.hand_over === undefined ? {} : { handOver: job.hand_over }),
        isLive: liveRuns(state),
        begin: (system: string) => link.begin(system),
        emit,
      }
      return { kind: 'report', report: await recoverRun(input) }
    }
    case 'sweep': {
      const { install, remove, older_than_ms: olderThanMs } = job.sweep
      const isLive = liveRuns(await peekStateDir(job.state_dir))
      return looking({ ...job, install }, target, signal, emit, async ({ fleet }) => {
        const { agent } = fleet.at('')
        const swept = await sweep({ agent, isLive, olderThanMs, signal, ...(remove ? { remove: install } : {}) })
        return { kind: 'sweep', swept }
      })
    }
    case 'preview': {
      const { install, run, experiment, seed } = job
      return looking(job, target, signal, emit, async (given) => {
        const { view } = await planRun({ ...given, experiment, skills: target.skills, install, run, seed })
        return { kind: 'plan', plan: view }
      })
    }
    case 'survey':
      return looking(job, target, signal, emit, async (given) => {
        return { kind: 'survey', survey: await surveyTarget({ ...given, ...given.fleet.at(''), target }) }
      })
  }
}

type Looked = Pick<PlanInput, 'fleet' | 'endpoint' | 'signal' | 'onPhase'>

/** Connections for the jobs that only look; those without a seed look at everything that is configured as one system. */
async function looking(
  {
    install,
    run,
    experiment,
    seed,
  }: Pick<Extract<Job, { kind: 'preview' }>, 'install' | 'run' | 'experiment'> & { seed?: string },
  target: Target,
  signal: AbortSignal,
  emit: (event: EventBody) => void,
  look: (given: Looked) => Promise<Result>,
): Promise<Result> {
  const mask = maskOf(experiment.filled ?? [])
  let fleet: Fleet | undefined
  try {
    const endpoint = target.endpoint(experiment.target_config)
    refuseProtected(experiment, endpoint)
    emit({ type: 'run.phase', phase: 'connect' })
    const places =
      seed === undefined
        ? [{ id: '', endpoint, config: experiment.target_config }]
        : await choosePlaces(target, experiment, seed, signal)
    fleet = await openFleet(target, places, { install, run, signal, clock: systemClock }, mask)
    const onPhase: PlanInput['onPhase'] = (phase, detail) =>
      emit({ type: 'run.phase', phase, ...(detail === undefined ? {} : { detail }) })
    return await look({ fleet, endpoint, signal, onPhase })
  } catch (error) {
    throw mask.error(error)
  } finally {
    await fleet?.close(systemClock)
  }
}

function find(targets: readonly Target[], name: string): Target {
  const target = targets.find((t) => t.name === name)
  if (!target)
    throw new TargetError('TARGET_FAILED', `this version has no target ${name}: run the version that wrote it`)
  return target
}

function toPlain(error: unknown): PlainError {
  const code = error instanceof CodedError ? error.code : 'WORKER_LOST'
  const { about } = factsOf(error)
  const facts = about ? { about } : {}
  return {
    code,
    message: messageOf(error),
    ...facts,
    ...(error instanceof ConfigError ? { problems: error.problems } : {}),
  }
}
