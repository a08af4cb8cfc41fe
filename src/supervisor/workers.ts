/** The workers of a supervisor: started for a job, told to undo and end, and killed when that takes too long. */
import type { ChaosEvent } from '../core/events.ts'
import type { StateLock } from './lock.ts'
import type { Job, Result } from './protocol.ts'
import type { startWorker, WorkerHandle, WorkerOptions } from './worker-process.ts'

export interface WorkersOptions {
  /** The script to run workers with. */
  main: string
  lock: StateLock
  startWorker: typeof startWorker
  emit(event: ChaosEvent): void
}

type Answers = Pick<WorkerOptions, 'onClaim' | 'onBegin' | 'onLeft'>

/** One whose process is still being started has no handle yet: what it is told meanwhile it hears then. */
interface Running {
  undoes: boolean
  worker?: WorkerHandle
  abortedBy?: string
  killed?: true
}

export class Workers {
  readonly #options: WorkersOptions
  readonly #running = new Map<string, Running>()
  /** Why every run has to end; absent while none has to. */
  #stopping: string | undefined

  constructor(options: WorkersOptions) {
    this.#options = options
  }

  get runs(): readonly string[] {
    return [...this.#running.keys()]
  }

  has(run: string): boolean {
    return this.#running.has(run)
  }

  /** Does the job in a worker of its own. Rejects with WORKER_LOST when that dies without a word. */
  async work(job: Job, answers: Answers): Promise<Result> {
    const { main, lock, emit, startWorker: start } = this.#options
    const running: Running = { undoes: job.kind === 'recover' }
    if (this.#stopping !== undefined && !running.undoes) running.abortedBy = this.#stopping
    this.#running.set(job.run, running)
    try {
      const worker = await start({ main, lock, job, onEvent: (event) => emit(event), ...answers })
      running.worker = worker
      if (running.abortedBy !== undefined) worker.abort(running.abortedBy)
      if (running.killed) worker.kill()
      return await worker.result
    } finally {
      if (this.#running.get(job.run) === running) this.#running.delete(job.run)
    }
  }

  /** Tells a run to undo and end. False when there is none of that name, or when it is being recovered: that is its end. */
  abort(run: string, reason: string): boolean {
    const running = this.#running.get(run)
    if (!running || running.undoes) return false
    if (running.worker) running.worker.abort(reason)
    else running.abortedBy ??= reason
    return true
  }

  /** Those that are there, and those that come; recoveries go on. */
  abortAll(reason: string): void {
    this.#stopping = reason
    for (const run of this.runs) this.abort(run, reason)
  }

  killAll(): void {
    for (const running of this.#running.values()) {
      running.killed = true
      running.worker?.kill()
    }
  }
}
