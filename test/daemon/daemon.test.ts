import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import type { DaemonEvent } from '../../src/core/events.ts'
import { DEFAULT_TIMING } from '../../src/core/experiment.ts'
import type { Config, ScheduledExperiment } from '../../src/core/experiment.ts'
import type { CodedError } from '../../src/core/errors.ts'
import { JournalError } from '../../src/core/errors.ts'
import { Daemon } from '../../src/daemon/daemon.ts'
import type { Blocked } from '../../src/supervisor/blocked.ts'
import type { Report } from '../../src/core/report.ts'
import { memoryHandled } from '../../src/schedule/watermark.ts'
import type { Supervisor } from '../../src/supervisor/supervisor.ts'
import { Tracker } from '../../src/daemon/tracker.ts'
import { Trust } from '../../src/daemon/trust.ts'
import { LocalTurns } from '../../src/daemon/turns.ts'
import type { StandingOrders, Orders } from '../../src/journal/orders.ts'
import type { SlotRecord } from '../../src/journal/due-log.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { FakeClock, until } from '../fakes/clock.ts'

type Told = DaemonEvent extends infer E ? (E extends unknown ? Omit<E, 'at'> : never) : never

/** A supervisor that only writes down what it is asked for. */
class Stub {
  readonly told: Told[] = []
  /** Names of experiments that run now, and how to end them. */
  readonly running = new Map<string, () => void>()
  readonly ran: string[] = []
  readonly rounds: string[] = []
  readonly aborts = new Map<string, (reason: string) => void>()
  readonly refused = new Map<string, CodedError>()
  /** What the reports of its runs say besides. */
  answer: Partial<Report> = {}
  blocked: Blocked[] = []
  recover: () => Promise<void> = () => Promise.resolve()
  pruned = 0

  tell(event: Told): void {
    this.told.push(event)
  }
  async recoverAll(): Promise<[]> {
    this.rounds.push('round')
    await this.recover()
    return []
  }
  async run(experiment: { name: string }, { wait, run }: { wait: string; run: string }): Promise<unknown> {
    this.ran.push(`${experiment.name} ${wait}`)
    const outcome = await new Promise<string>((resolve) => {
      this.running.set(experiment.name, () => resolve('completed'))
      this.aborts.set(run, (reason) => resolve(`aborted: ${reason}`))
    })
    this.running.delete(experiment.name)
    return { run, experiment: experiment.name, outcome, exit_code: 0, residue: [], ...this.answer }
  }
  abort(run: string, reason: string): boolean {
    this.aborts.get(run)?.(reason)
    return this.aborts.has(run)
  }
  refusal({ name }: { name: string }): CodedError | undefined {
    return this.refused.get(name)
  }
  endpointOf({ name }: { name: string }): string {
    return `fake://${name}`
  }
  stop(reason: string): Promise<void> {
    this.told.push({ type: 'warning', message: `stop ${reason}` })
    for (const end of this.running.values()) end()
    return Promise.resolve()
  }
  pruneHistory(): Promise<void> {
    this.pruned++
    return Promise.reject(new Error('no permission'))
  }
  is(type: Told['type']): Told[] {
    return this.told.filter((e) => e.type === type)
  }
}

class MemoryOrders implements Orders {
  current: StandingOrders = { disabled: {}, trusted: [] }
  change(next: (orders: StandingOrders) => StandingOrders): Promise<void> {
    this.current = next(this.current)
    return Promise.resolve()
  }
  refresh(): Promise<void> {
    return Promise.resolve()
  }
}

function configOf(experiments: ScheduledExperiment[], max_concurrent = 2): Config {
  const settings: Config['settings'] = {
    ...{ max_concurrent, timezone: 'UTC', stop_deadline_ms: 1000, history: { keep_days: 30 }, trust: 'warn' as const },
  }
  return { file: 'f', settings, experiments, warnings: ['mind the gap'] }
}

const EVERY_SECOND = '* * * * * *'

function scheduled(name: string, more: Partial<ScheduledExperiment> = {}): ScheduledExperiment {
  const experiment = fakeExperiment([], { name })
  return { ...DEFAULT_TIMING, experiment, schedule: EVERY_SECOND, enabled: true, ...more }
}

/** Every second something is due; they come when a test says so. */
async function second(clock: FakeClock): Promise<void> {
  await clock.untilSleeping(1_000)
  clock.advance(1_000)
}

/** Ends of the daemons of the test that is over: one that failed must not keep this process alive for ever. */
const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

function start(
  experiments: ScheduledExperiment[],
  max_concurrent = 2,
  prepare: (stub: Stub) => void = () => undefined,
  slots: SlotRecord[] = [],
) {
  const supervisor = new Stub()
  prepare(supervisor)
  const clock = new FakeClock()
  const stop = new AbortController()
  const config = configOf(experiments, max_concurrent)
  const orders = new MemoryOrders()
  const reload: { next: () => Promise<Config> } = { next: () => Promise.resolve(config) }
  const tracker = new Tracker()
  const daemon = new Daemon({
    ...{ config, clock, stop: stop.signal, stateDir: '/state', orders, tracker, version: '0' },
    supervisor: supervisor as unknown as Supervisor,
    turns: new LocalTurns(config.settings.max_concurrent),
    slotLog: {
      append: (record) => Promise.resolve(void slots.push(record)),
      read: () => Promise.resolve(slots),
      prune: () => Promise.resolve(),
    },
    trust: new Trust({ orders, clock, mode: () => 'warn', summaryOf: () => '', warn: () => undefined }),
    handled: memoryHandled(),
    install: 'aaaaaa',
    hasReport: (run) => Promise.resolve(run.startsWith('ended')),
    notified: () => ({ delivered: 0, failed: 0, dropped: 0, waiting: 0 }),
    reload: () => reload.next(),
  })
  const done = daemon.main()
  ends.push(() => stop.abort(new Error('the test is over')))
  done.catch(() => undefined)
  return { daemon, supervisor, clock, done, orders, slots, reload, stop: () => stop.abort(new Error('SIGTERM')) }
}

test('the daemon recovers before it is ready, and is ready before anything is due', async () => {
  const { supervisor, clock, done, stop } = start([scheduled('e')])
  await second(clock)
  await until(() => supervisor.ran.length > 0, 'nothing runs')
  stop()
  assert.deepEqual(await done, { pending: 0 })
  const walk = supervisor.told.map((e) => e.type)
  assert.deepEqual(walk.slice(0, 5), ['daemon.started', 'warning', 'daemon.ready', 'schedule.next', 'schedule.due'])
  assert.deepEqual(supervisor.rounds, ['round'])
})

test('S12: within a freeze, or disabled, the next due time is the one after it; all is trusted where nothing waits', async () => {
  const { daemon, done, stop, orders, supervisor, clock } = start([scheduled('e'), scheduled('other')])
  await until(() => supervisor.is('daemon.ready').length > 0, 'it is not ready')
  const nextOf = (name: string) => daemon.status.experiments.find(({ experiment }) => experiment === name)?.next
  assert.notEqual(nextOf('e'), undefined)
  const inAnHour = clock.now() + 3_600_000
  await daemon.freeze('sale', 3_600_000)
  assert.ok(Date.parse(nextOf('e') ?? '') > inAnHour, nextOf('e'))
  assert.deepEqual(
    daemon.next.map(({ at }) => Date.parse(at) > inAnHour),
    [true, true],
  )
  await daemon.freeze('for good')
  assert.deepEqual([nextOf('e'), daemon.next], [undefined, []])
  await daemon.unfreeze()
  await daemon.disable('other')
  assert.deepEqual(
    daemon.next.map(({ experiment }) => experiment),
    ['e'],
  )
  const trust = new Trust({ orders, clock, mode: () => 'require', summaryOf: () => '', warn: () => undefined })
  assert.deepEqual(await trust.trust(), [])
  await assert.rejects(trust.trust('e'), /nothing of "e" waits/)
  stop()
  await done
})

test('a due time whose run a crash kept from beginning is recorded as missed at the next start, once', async () => {
  const [at, slot] = ['2026-01-01T02:00:00.100Z', '2026-01-01T02:00:00.000Z']
  const busy = { cause: 'overlap' as const, reason: 'its previous run is not over' }
  const before: SlotRecord[] = [
    { at, experiment: 'ran', slot, run: 'ended-1' },
    { at, experiment: 'refused', slot, run: 'r2' },
    { at, experiment: 'refused', slot, skipped: { cause: 'blocked', reason: 'blocked by run r0' } },
    { at, experiment: 'lost', slot, run: 'r3' },
    { at, experiment: 'lost', slot: '2026-01-01T02:00:01.000Z', skipped: busy },
  ]
  const slots = [...before]
  for (const skips of [1, 0]) {
    const { done, stop, supervisor } = start([scheduled('lost')], 2, () => undefined, slots)
    await until(() => supervisor.is('daemon.ready').length > 0, 'it is not ready')
    stop()
    await done
    assert.equal(supervisor.is('schedule.skipped').length, skips)
  }
  assert.deepEqual(
    slots.slice(before.length).map((record) => [record.experiment, record.slot, record.skipped?.reason]),
    [['lost', slot, 'chaos was ended before its run r3 began']],
  )
})

test('an experiment never runs beside itself: the slot is skipped and said so', async () => {
  const { supervisor, clock, done, stop } = start([scheduled('e')])
  await second(clock)
  await second(clock)
  await until(() => supervisor.is('schedule.skipped').length > 0, 'nothing is skipped')
  assert.equal(supervisor.ran.length, 1)
  assert.match(JSON.stringify(supervisor.is('schedule.skipped')[0]), /its previous run is not over/)
  supervisor.running.get('e')?.()
  await until(() => supervisor.running.size === 0, 'it does not end')
  await second(clock)
  await until(() => supervisor.ran.length === 2, 'it does not run again')
  stop()
  await done
})

test('no more than max_concurrent run at once: with queue the next one waits for its turn', async () => {
  const { supervisor, clock, done, stop } = start([scheduled('a'), scheduled('b')], 1)
  await second(clock)
  await until(() => supervisor.is('schedule.queued').length === 1, 'nothing is queued')
  assert.equal(supervisor.ran.length, 1)
  const [first = ''] = supervisor.running.keys()
  supervisor.running.get(first)?.()
  await until(() => supervisor.ran.length === 2, 'the next one does not get its turn')
  assert.equal(supervisor.running.size, 1)
  stop()
  await done
})

test('with skip, what is due while all slots are taken is dropped', async () => {
  const { supervisor, clock, done, stop } = start([scheduled('a'), scheduled('c', { on_busy: 'skip' })], 1)
  // What is due in the same second comes in the order of the file.
  await second(clock)
  await until(() => supervisor.running.has('a'), 'a does not run')
  const dropped = (e: Told): boolean =>
    e.type === 'schedule.skipped' && e.experiment === 'c' && e.reason === 'all slots are taken'
  await until(() => supervisor.told.some(dropped), 'nothing is dropped')
  assert.ok(!supervisor.running.has('c'))
  stop()
  await done
})

test('on stop nothing is due any more, what runs is stopped, what waits is dropped, and it returns when all are over', async () => {
  const { supervisor, clock, done, stop } = start([scheduled('a'), scheduled('b')], 1)
  await second(clock)
  await until(() => supervisor.is('schedule.queued').length === 1, 'nothing is queued')
  stop()
  await done
  assert.equal(supervisor.running.size, 0)
  assert.deepEqual(supervisor.is('daemon.stopping'), [{ type: 'daemon.stopping', reason: 'SIGTERM' }])
  const n = supervisor.told.length
  clock.advance(5_000)
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(supervisor.told.length, n)
})

test('a recovery that hangs keeps nothing from being scheduled for longer than 30 s', async () => {
  let end = (): void => undefined
  const hangs = new Promise<void>((resolve) => (end = resolve))
  const { supervisor, clock, done, stop } = start([scheduled('e')], 2, (stub) => (stub.recover = () => hangs))
  await clock.untilSleeping(30_000)
  assert.deepEqual(supervisor.is('daemon.ready'), [])
  clock.advance(30_000)
  await second(clock)
  await until(() => supervisor.ran.length > 0, 'nothing runs')
  stop()
  let over = false
  void done.then(() => (over = true))
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(over, false, 'it returns before its recovery does')
  end()
  await done
})

test('a stop during the first recovery is heeded at once, and nothing is scheduled', async () => {
  let end = (): void => undefined
  const hangs = new Promise<void>((resolve) => (end = resolve))
  const { supervisor, clock, done, stop } = start([scheduled('e')], 2, (stub) => (stub.recover = () => hangs))
  await clock.untilSleeping(30_000)
  stop()
  await until(() => supervisor.is('daemon.stopping').length === 1, 'it does not stop')
  end()
  await done
  assert.deepEqual(supervisor.ran, [])
})

test('a journal of a newer format ends the daemon before it schedules anything', async () => {
  const newer = new JournalError('JOURNAL_NEWER', 'written by a newer version')
  const { supervisor, done } = start([scheduled('e')], 2, (stub) => (stub.recover = () => Promise.reject(newer)))
  await assert.rejects(done, { code: 'JOURNAL_NEWER' })
  assert.deepEqual(supervisor.is('daemon.ready'), [])
})

test('what is not clean is tried again for as long as the daemon lives, ever more rarely, and an error does not end that', async () => {
  const blocked: Blocked = {
    run: 'r',
    experiment: 'e',
    endpoint: 'x',
    claims: [],
    pending: 1,
    reason: 'away',
  }
  const { supervisor, clock, done, stop } = start([], 2, (stub) => {
    stub.blocked = [blocked]
    stub.recover = () => (stub.rounds.length === 2 ? Promise.reject(new Error('EMFILE')) : Promise.resolve())
  })
  await until(() => supervisor.is('daemon.ready').length === 1, 'it is not ready')
  const waits = [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]
  for (const [i, wait] of waits.entries()) {
    await clock.untilSleeping(wait)
    clock.advance(wait - 1)
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal(supervisor.rounds.length, i + 1, 'it is tried too early')
    clock.advance(1)
    await until(() => supervisor.rounds.length === i + 2, 'it is not tried again')
  }
  assert.ok(supervisor.told.some((e) => e.type === 'warning' && e.message.includes('EMFILE')))
  assert.ok(supervisor.is('recovery.retry').length >= 8)
  stop()
  assert.deepEqual(await done, { pending: 1 })
})

test('history is pruned at the start and every hour, and failing to does not matter', async () => {
  const { supervisor, clock, done, stop } = start([])
  await clock.untilSleeping(3_600_000)
  assert.equal(supervisor.pruned, 1)
  clock.advance(3_600_000)
  await until(() => supervisor.pruned === 2, 'it is not pruned again')
  stop()
  await done
})
