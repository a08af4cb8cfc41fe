/**
 * What systemd is told of the daemon (Type=notify): when it is ready, what it does, that it stops, and that it is alive.
 * Node has no datagram sockets, so `systemd-notify` is run for each message; the unit needs NotifyAccess=all.
 */
import { spawn } from 'node:child_process'
import { counted } from '../core/counted.ts'
import { messageOf } from '../core/errors.ts'
import type { ChaosEvent, Sink } from '../core/events.ts'
import { cutTo, visible } from '../core/foreign.ts'

export interface ServiceManagerOptions {
  env: NodeJS.ProcessEnv
  /** Resolves when the daemon can do its work; no sign of life is given while it does not. */
  healthy(): Promise<boolean>
  /** Called once if messages cannot be sent. */
  warn(message: string): void
  /** Sends one message; `systemd-notify` unless a test looks. */
  send?(assignments: readonly string[]): Promise<void>
}

export interface ServiceManager {
  readonly sink: Sink
  /** A reload begins; `daemon.reloaded` or `daemon.reload_failed` ends it. */
  reloading(): void
  /** Waits for the last message, and ends the signs of life. */
  close(): Promise<void>
}

/** Longest wait for one `systemd-notify`; it waits itself until the message was taken. */
const SEND_MS = 10_000

/** Characters of the line that `systemctl status` shows. */
const LONGEST_STATUS = 1_000

const noManager: ServiceManager = { sink: () => undefined, reloading: () => undefined, close: () => Promise.resolve() }

/** Does nothing where no service manager asked to be told. */
export function serviceManager(options: ServiceManagerOptions): ServiceManager {
  const { env, healthy } = options
  if ((env['NOTIFY_SOCKET'] ?? '') === '') return noManager
  const messages = new Messages(options.send ?? ((assignments) => notify(assignments, env)), options.warn)
  const status = new Status()
  const everyMs = watchdogMs(env)
  let timer: NodeJS.Timeout | undefined
  let looking = false
  // An event loop that is blocked does not get here, and a daemon that is not healthy does not get past the question.
  const live = async (): Promise<void> => {
    if (looking) return
    looking = true
    try {
      if (await healthy()) messages.put('watchdog', ['WATCHDOG=1'])
    } catch {
      // Not healthy.
    } finally {
      looking = false
    }
  }
  if (everyMs !== undefined) timer = setInterval(() => void live(), everyMs)
  return {
    sink(event) {
      const text = status.after(event)
      // A line break in it would begin an assignment of its own.
      const tell = text === undefined ? [] : [`STATUS=${visible(cutTo(text, LONGEST_STATUS))}`]
      if (event.type === 'daemon.ready') messages.put('ready', ['READY=1', ...tell])
      else if (event.type === 'daemon.reloaded' || event.type === 'daemon.reload_failed')
        messages.put('reloaded', ['READY=1', ...tell])
      else if (event.type === 'daemon.stopping') messages.put('stopping', ['STOPPING=1', ...tell])
      else if (text !== undefined) messages.put('status', tell)
    },
    reloading() {
      messages.put('reloading', ['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`])
    },
    async close() {
      clearInterval(timer)
      await messages.sent()
    },
  }
}

/** Half of what systemd allows between two signs of life; undefined where it does not ask us for any. */
function watchdogMs(env: NodeJS.ProcessEnv): number | undefined {
  const usec = Number(env['WATCHDOG_USEC'] ?? 0)
  const pid = env['WATCHDOG_PID'] ?? ''
  if (!(usec > 0) || (pid !== '' && pid !== String(process.pid))) return undefined
  return Math.min(usec / 2_000, 2 ** 30)
}

/** One message at a time and in order; of two of a kind that wait, only the newer one is worth sending. */
class Messages {
  readonly #send: (assignments: readonly string[]) => Promise<void>
  readonly #warn: (message: string) => void
  readonly #waiting = new Map<string, readonly string[]>()
  #sending: Promise<void> | undefined
  #warned = false

  constructor(send: (assignments: readonly string[]) => Promise<void>, warn: (message: string) => void) {
    this.#send = send
    this.#warn = warn
  }

  put(kind: string, assignments: readonly string[]): void {
    this.#waiting.delete(kind)
    this.#waiting.set(kind, assignments)
    this.#sending ??= this.#drain().finally(() => (this.#sending = undefined))
  }

  async sent(): Promise<void> {
    await this.#sending
  }

  async #drain(): Promise<void> {
    for (;;) {
      const [next] = this.#waiting
      if (!next) return
      this.#waiting.delete(next[0])
      try {
        await this.#send(next[1])
      } catch (error) {
        if (!this.#warned) this.#warn(`the service manager is not told: ${messageOf(error)}`)
        this.#warned = true
      }
    }
  }
}

/** The line that `systemctl status` shows. */
class Status {
  readonly #running = new Map<string, { experiment: string; phase: string }>()
  #pending = 0

  /** The new line; undefined when the event changes nothing. */
  after(event: ChaosEvent): string | undefined {
    switch (event.type) {
      case 'run.started':
        this.#running.set(event.run, { experiment: event.experiment, phase: 'connect' })
        break
      case 'run.phase': {
        const run = this.#running.get(event.run)
        if (!run) return undefined
        run.phase = event.phase
        break
      }
      case 'run.finished':
        this.#running.delete(event.run)
        break
      case 'recovery.finished':
        this.#pending = event.pending
        break
      case 'daemon.stopping':
        return `stopping (${event.reason}); what is running is being undone`
      case 'daemon.reload_failed':
        return `${event.file} is not used, the configuration before stays`
      case 'daemon.ready':
      case 'daemon.reloaded':
        break
      default:
        return undefined
    }
    const running = [...this.#running.values()].map((run) => `${run.experiment}: ${run.phase}`)
    const pending = this.#pending > 0 ? [`${counted(this.#pending, 'run')} not undone`] : []
    return [...pending, ...(running.length > 0 ? running : ['waiting for the next run'])].join(', ')
  }
}

function notify(assignments: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('systemd-notify', [...assignments], { env, stdio: 'ignore', timeout: SEND_MS })
    child.on('error', reject)
    child.on('close', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`systemd-notify ended with ${signal ?? code}`)),
    )
  })
}
