/** One worker as its supervisor sees it: started with the lock, fed its job, watched by its heartbeat, ended by pid. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { CodedError, ConfigError, factsOf, messageOf } from '../core/errors.ts'
import type { ChaosEvent } from '../core/events.ts'
import type { StateLock } from './lock.ts'
import { workerEnv } from './worker-env.ts'
import type { PlaceStarted } from '../journal/journal.ts'
import type { FromWorker, Job, PlainError, Result, ToWorker } from './protocol.ts'

/** Silence after which a worker is taken for stuck, killed, and its run recovered. */
const SILENCE_MS = 60_000
/** A worker of 2,000 rows takes 85 MB in all; one that a hostile server fills must end before the machine is in need. */
const HEAP_MIB = 512

export interface WorkerOptions {
  /** The script whose hidden command `worker` is run. */
  main: string
  lock: StateLock
  job: Job
  onEvent(event: ChaosEvent): void
  onClaim(keys: string[], places: PlaceStarted[]): Promise<ToWorker>
  /** Of a recovery: resolves when it may begin on the system. */
  onBegin?(system: string): Promise<void>
  onLeft?(system: string): void
}

export interface WorkerHandle {
  /** Its result; rejects with the error it reported, or WORKER_LOST when it died without a word. */
  readonly result: Promise<Result>
  abort(reason: string): void
  kill(): void
}

export async function startWorker(options: WorkerOptions): Promise<WorkerHandle> {
  const { lock, job } = options
  const child = fork(options.main, ['worker'], {
    // The fifth descriptor is the state folder's lock: it is free only when this process is gone too.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', ...(lock.fd >= 0 ? [lock.fd] : [])],
    serialization: 'json',
    // Rows are made and dropped in great numbers: a small young generation keeps memory flat and costs no time.
    execArgv: [...process.execArgv, '--max-semi-space-size=4', `--max-old-space-size=${HEAP_MIB}`],
    env: workerEnv(process.env),
  })
  const result = watch(child, options)
  result.catch(() => undefined)
  const send = (message: ToWorker): void => {
    if (child.connected) child.send(message, () => undefined)
  }
  try {
    if (child.pid !== undefined) await lock.addWorker(child.pid, job.run)
  } catch (error) {
    // A successor would not know of it: it does not get its job.
    child.kill('SIGKILL')
    throw error
  }
  send({ type: 'job', job })
  return { result, abort: (reason) => send({ type: 'abort', reason }), kill: () => void child.kill('SIGKILL') }
}

function watch(child: ChildProcess, { lock, onEvent, onClaim, onBegin, onLeft }: WorkerOptions): Promise<Result> {
  return new Promise((resolve, reject) => {
    let last: Extract<FromWorker, { type: 'done' | 'failed' }> | undefined
    const kill = (): void => void child.kill('SIGKILL')
    const answer = (message: ToWorker): void => {
      if (child.connected) child.send(message, () => undefined)
    }
    let silence = setTimeout(kill, SILENCE_MS)
    child.on('message', (message: FromWorker) => {
      clearTimeout(silence)
      silence = setTimeout(kill, SILENCE_MS)
      if (message.type === 'event') onEvent(message.event)
      else if (message.type === 'claim') {
        void onClaim(message.keys, message.places).catch(refusal).then(answer)
      } else if (message.type === 'begin') {
        const { system } = message
        void (onBegin?.(system) ?? Promise.resolve()).then(() => answer({ type: 'begin', system }))
      } else if (message.type === 'left') onLeft?.(message.system)
      else if (message.type !== 'heartbeat') last = message
    })
    child.on('error', (error) => {
      if (child.pid !== undefined) return
      clearTimeout(silence)
      reject(new CodedError('WORKER_LOST', `cannot start a worker: ${error.message}`, { cause: error }))
    })
    // Not before it is really gone: until then it may still change something.
    child.on('close', (code, signal) => {
      clearTimeout(silence)
      const settle = (): void => {
        if (last?.type === 'done') resolve(last.result)
        else if (last) reject(fromPlain(last.error))
        else reject(lost(code, signal))
      }
      void lock.removeWorker(child.pid ?? -1).then(settle, settle)
    })
  })
}

function lost(exit: number | null, signal: NodeJS.Signals | null): CodedError {
  const about = { ...(exit === null ? {} : { exit_code: exit }), ...(signal === null ? {} : { signal }) }
  return new CodedError('WORKER_LOST', `the worker ended without a word (${signal ?? `exit ${exit}`})`, { about })
}

/** What could not be decided, say because the disk is full, is not allowed. */
function refusal(error: unknown): ToWorker {
  const code = error instanceof CodedError ? error.code : 'REFUSED_CLAIMED'
  const { about } = factsOf(error)
  return { type: 'refused', code, message: messageOf(error), ...(about ? { about } : {}) }
}

function fromPlain(error: PlainError): Error {
  if (error.problems)
    return new ConfigError(error.problems, error.code === 'CONFIG_NOT_ON_TARGET' ? error.code : 'CONFIG_INVALID')
  return new CodedError(error.code, error.message, { about: error.about })
}
