/** Tells people and their systems of what matters, in the background: a receiver that is slow or away never shows in a run. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import type { ChaosEvent, Sink } from '../core/events.ts'
import { placeOf } from '../core/notify.ts'
import type { Notification, NotifySink } from '../core/notify.ts'
import { command } from './command.ts'
import { notificationOf } from './message.ts'
import type { Message, RunFacts } from './message.ts'
import { Outbox } from './outbox.ts'
import type { Counts } from './outbox.ts'
import { Throttle } from './throttle.ts'
import { webhook } from './webhook.ts'

export interface NotifierOptions {
  sinks: readonly NotifySink[]
  clock: Clock
  random(): number
  version: string
  /** Of this machine. */
  host: string
  install?: string
  /** Of this process: a command gets a little of it. */
  env: NodeJS.ProcessEnv
  /** For the log: a notification that was not delivered. Never comes back as a notification. */
  warn(event: ChaosEvent & { type: 'warning' }): void
}

export interface Notifier {
  readonly sink: Sink
  readonly counts: Counts
  /** From now on these receivers; those that stay keep what waits for them. */
  use(sinks: readonly NotifySink[]): void
  /** Delivers what waits, for at most so many milliseconds; counts and tells what it could not. */
  close(deadlineMs: number): Promise<void>
}

/** Receivers that a new configuration no longer names get what waits for them in this time. */
const LEAVE_MS = 60_000

export function startNotifier(options: NotifierOptions): Notifier {
  const { clock } = options
  const throttle = new Throttle()
  const runs = new Map<string, RunFacts>()
  let open = options.sinks.map((sink) => openBox(sink, options))
  const leaving = new Set<Promise<void>>()
  const gone: Outbox[] = []

  const tell = (message: Message): void => {
    const count = throttle.count(message, clock.now())
    if (count === undefined) return
    const { host, install } = options
    const notification: Notification = {
      ...{ format: 1, id: randomUUID(), ...message, host },
      ...(install === undefined ? {} : { install }),
      ...(count > 1 ? { count } : {}),
    }
    for (const { sink, box } of open) if (sink.on.includes(message.kind)) box.push(notification)
  }

  return {
    sink(event) {
      if (event.type === 'run.started') runs.set(event.run, { experiment: event.experiment, endpoint: event.endpoint })
      const message = notificationOf(event, 'run' in event ? runs.get(event.run) : undefined)
      if (message) tell(message)
      if (event.type !== 'run.finished') return
      const { run, experiment, endpoint, residue } = event.report
      // What is not undone will be heard of again.
      if (residue.length > 0) runs.set(run, { experiment, endpoint })
      else runs.delete(run)
    },
    get counts() {
      return sum([...gone, ...open.map(({ box }) => box)].map((box) => box.counts))
    },
    use(sinks) {
      const before = open
      open = sinks.map((sink) => before.find((o) => same(o.sink, sink)) ?? openBox(sink, options))
      for (const { box } of before.filter((o) => !open.includes(o))) {
        gone.push(box)
        const left = box.close(LEAVE_MS).finally(() => leaving.delete(left))
        leaving.add(left)
      }
    },
    async close(deadlineMs) {
      await Promise.all([...open.map(({ box }) => box), ...gone].map((box) => box.close(deadlineMs)))
      await Promise.all(leaving)
    },
  }
}

function openBox(sink: NotifySink, options: NotifierOptions): { sink: NotifySink; box: Outbox } {
  const { clock, random, version, env, warn } = options
  const box = new Outbox({
    clock,
    random,
    deliver: 'command' in sink ? command(sink, env, clock) : webhook(sink, version, clock),
    lost: ({ kind, run, experiment }, reason) => {
      const about = [kind, ...(run === undefined ? [] : [`of run ${run}`]), ...(experiment ? [`(${experiment})`] : [])]
      const message = `not told to ${placeOf(sink)}: ${about.join(' ')}: ${reason}`
      warn({ type: 'warning', code: 'notify', at: new Date(clock.now()).toISOString(), message })
    },
  })
  return { sink, box }
}

function same(a: NotifySink, b: NotifySink): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function sum(all: readonly Counts[]): Counts {
  const total: Counts = { delivered: 0, failed: 0, dropped: 0, waiting: 0 }
  for (const counts of all)
    for (const key of ['delivered', 'failed', 'dropped', 'waiting'] as const) total[key] += counts[key]
  return total
}
