/** What is in a digest, from made-up nights; and when it is told. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Digest } from '../../src/core/digest.ts'
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Report, StepReport } from '../../src/core/report.ts'
import { digestOf, readDigest } from '../../src/daemon/digest.ts'
import { nextByCron, startDigest } from '../../src/daemon/digest-schedule.ts'
import { slotLog } from '../../src/journal/due-log.ts'
import type { SlotRecord } from '../../src/journal/due-log.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { FakeClock, until } from '../fakes/clock.ts'
import { folder } from '../supervisor/helpers.ts'

const HOUR = 3_600_000
const SINCE = Date.UTC(2026, 0, 2, 8)
const UNTIL = SINCE + 24 * HOUR
const iso = (hours: number): string => new Date(SINCE + hours * HOUR).toISOString()

/** Ends so many hours after the beginning of the digest; took `took` ms besides its soak of a minute. */
function report(
  experiment: string,
  hours: number,
  more: Partial<Report> & { undo?: number[]; took?: number } = {},
): Report {
  const { undo = [100], took = 5_000, ...rest } = more
  const steps: StepReport[] = undo.map((revert_ms, i) => ({
    ...{ step: i + 1, skill: 's', resource: 'r', describe: 'd', state: 'reverted', revert_ms },
  }))
  const finished_at = iso(hours)
  return {
    ...{ run: `${experiment}${hours}`, experiment, target: 't', endpoint: 'pg', seed: 's', outcome: 'completed' },
    ...{ recovered: false, finished_at, soak_ms: 60_000, residue: [], steps, notes: [], exit_code: 0 },
    started_at: new Date(Date.parse(finished_at) - 60_000 - took).toISOString(),
    ...rest,
  }
}

const digest = (reports: Report[], slots: SlotRecord[] = []): Digest => digestOf(reports, slots, [], SINCE, UNTIL)

test('runs are counted by outcome, those from before and after are not, and only those to look at are named', () => {
  const { ran, notable } = digest([
    report('a', 1),
    report('b', 2),
    report('a', 3),
    report('a', 4, { outcome: 'failed', reason: 'away', exit_code: 1 }),
    report('c', 5, { outcome: 'aborted', recovered: true }),
    report('d', 6, { outcome: 'aborted', exit_code: 143 }),
    report('a', -0.01, { outcome: 'failed' }),
    report('a', 24, { outcome: 'failed' }),
  ])
  assert.deepEqual(ran, [
    { outcome: 'completed', count: 3, experiments: ['a', 'b'] },
    { outcome: 'aborted', count: 2, experiments: ['c', 'd'] },
    { outcome: 'failed', count: 1, experiments: ['a'] },
  ])
  assert.deepEqual(
    notable.map((n) => [n.run, n.outcome, n.recovered, n.reason]),
    [
      ['a4', 'failed', false, 'away'],
      ['c5', 'aborted', true, undefined],
    ],
  )
})

test('what was skipped is grouped by its cause with the newest reason; slots that became runs are not skipped', () => {
  const skip = (experiment: string, hours: number, cause: 'busy' | 'frozen', reason: string): SlotRecord => ({
    ...{ at: iso(hours), experiment, slot: iso(hours) },
    skipped: { cause, reason },
  })
  const { skipped } = digest(
    [],
    [
      skip('a', -1, 'busy', 'long ago'),
      skip('b', 1, 'frozen', 'release'),
      skip('b', 2, 'busy', 'all slots are taken'),
      skip('a', 3, 'busy', 'the queue is full'),
      { at: iso(4), experiment: 'a', slot: iso(4), run: 'a4' },
    ],
  )
  assert.deepEqual(skipped, [
    { cause: 'busy', count: 2, experiments: ['a', 'b'], last: { slot: iso(3), reason: 'the queue is full' } },
    { cause: 'frozen', count: 1, experiments: ['b'], last: { slot: iso(1), reason: 'release' } },
  ])
})

test('slower is half as long again and a second more than the previous clean run of that experiment, from before too', () => {
  const slower = (now: Report, ...before: Report[]) =>
    digest([now, ...before]).slower.map((s) => [s.what, s.ms, s.before_ms, s.before_run])
  const before = report('a', -20, { undo: [1_000, 1_000] })
  assert.deepEqual(slower(report('a', 1, { undo: [2_000, 1_000] }), before), [['undo', 3_000, 2_000, 'a-20']])
  assert.deepEqual(slower(report('a', 1, { undo: [2_800] }), before), [], 'not half as long again')
  assert.deepEqual(slower(report('a', 1, { undo: [90] }), report('a', -1, { undo: [10] })), [], 'less than a second')
  assert.deepEqual(slower(report('a', 1, { undo: [9_000] }), report('b', -1)), [], 'of another experiment')
  assert.deepEqual(slower(report('a', 1, { took: 20_000 }), before), [['around', 20_000, 5_000, 'a-20']])
  const dirty = report('a', -1, { residue: [{ step: 1, resource: 'r', describe: 'd', error: 'e' }], undo: [9_000] })
  assert.deepEqual(slower(report('a', 1, { undo: [8_000] }), dirty, before), [['undo', 8_000, 2_000, 'a-20']])
  const cut = report('a', 1, { outcome: 'aborted', recovered: true, took: 99_000 })
  assert.deepEqual(slower(cut, before), [], 'how long a recovered run took says nothing')
})

test('two runs of one digest are compared with each other, each with the one before it', () => {
  const runs = [report('a', 1, { undo: [1_000] }), report('a', 2, { undo: [5_000] }), report('a', 3, { undo: [5_000] })]
  assert.deepEqual(
    digest(runs).slower.map((s) => [s.run, s.before_run]),
    [['a2', 'a1']],
  )
})

test('it is read from the state folder, past reports and lines that are damaged, and finds the run to compare with', async (t) => {
  const path = folder(t)
  const state = await openStateDir(path)
  await state.history.keep(report('a', -200, { run: '1', undo: [1_000] }))
  await state.history.keep(report('a', -190, { run: '2', outcome: 'failed', steps: [] }))
  await state.history.keep(report('a', 1, { run: '3', undo: [5_000] }))
  writeFileSync(join(path, 'history', '4.json'), '{ half of')
  const slots = slotLog(path)
  writeFileSync(join(path, 'slots.jsonl'), '{"at":"2026')
  await slots.append({ at: iso(1), experiment: 'a', slot: iso(1), skipped: { cause: 'missed', reason: 'asleep' } })
  const read = await readDigest({ ...state, slots, since: SINCE, until: UNTIL, running: new Set() })
  assert.deepEqual(read.ran, [{ outcome: 'completed', count: 1, experiments: ['a'] }])
  assert.deepEqual(
    read.slower.map((s) => s.before_run),
    ['1'],
  )
  assert.equal(read.skipped[0]?.cause, 'missed')
  assert.deepEqual(read.pending, [])
})

test('a journal that is damaged is pending, unless its run is under way', async (t) => {
  const path = folder(t)
  const state = await openStateDir(path)
  writeFileSync(join(path, 'journal', '260102t080000aaaa.jsonl'), 'this is no journal\nnot at all\n')
  const read = (running: string[]) =>
    readDigest({ ...state, slots: slotLog(path), since: SINCE, until: UNTIL, running: new Set(running) })
  assert.deepEqual((await read([])).pending, [
    { run: '260102t080000aaaa', experiment: '', endpoint: '', started_at: '', steps: 0 },
  ])
  assert.deepEqual((await read(['260102t080000aaaa'])).pending, [])
})

function schedule(t: { after(fn: () => void): void }, stateDir: string, clock: FakeClock, read = emptyDigest) {
  const stop = new AbortController()
  const events: ChaosEvent[] = []
  const asked: [number, number][] = []
  const done = startDigest({
    ...{ stateDir, clock, stop: stop.signal },
    next: (after) => (Math.floor(after / HOUR) + 1) * HOUR,
    read: (since, until) => {
      asked.push([since, until])
      return read(since, until)
    },
    emit: (event) => void events.push(event),
  })
  t.after(() => stop.abort())
  return { stop, done, events, asked }
}

const emptyDigest = (since: number, until: number): Promise<Digest> =>
  Promise.resolve(digestOf([], [], [], since, until))

/** Turns the clock minute by minute, as it is slept. */
async function pass(clock: FakeClock, hours: number): Promise<void> {
  const end = clock.now() + hours * HOUR
  while (clock.now() < end) {
    await until(() => clock.sleeping.length > 0, 'it waits')
    clock.advance(Math.min(...clock.sleeping))
  }
}

test('the digest is told when it is due, of what happened since the last one, also over a restart', async (t) => {
  const stateDir = folder(t)
  const clock = new FakeClock()
  const first = schedule(t, stateDir, clock)
  await pass(clock, 2)
  await until(() => first.events.length === 2, 'two are told')
  assert.deepEqual(
    first.asked.map(([since, until]) => until - since),
    [24 * HOUR, HOUR],
    'the first looks back a day',
  )
  await until(() => clock.sleeping.length > 0, 'it waits')
  first.stop.abort()
  await first.done
  clock.advance(5 * HOUR)
  const second = schedule(t, stateDir, clock)
  await pass(clock, 1)
  await until(() => second.events.length === 1, 'one is told')
  assert.equal(second.asked[0]?.[0], first.asked[1]?.[1], 'where the last one ended')
  await until(() => clock.sleeping.length > 0, 'it waits')
})

test('a digest that cannot be read is a warning, and the next one is told', async (t) => {
  let broken = true
  const clock = new FakeClock()
  const { events } = schedule(t, folder(t), clock, (since, until) =>
    broken ? Promise.reject(new Error('EIO')) : emptyDigest(since, until),
  )
  await pass(clock, 1)
  await until(() => events.length === 1, 'a warning')
  broken = false
  await pass(clock, 1)
  await until(() => events.length === 2, 'a digest')
  assert.deepEqual(
    events.map((e) => e.type),
    ['warning', 'digest'],
  )
  await until(() => clock.sleeping.length > 0, 'it waits')
})

test('node-cron gives the first due time after a moment, in its time zone', () => {
  const next = nextByCron('0 0 8 * * *', 'Asia/Tokyo')
  const first = next(Date.now())!
  assert.equal(new Date(first).getUTCHours(), 23)
  assert.equal(next(first), first + 24 * HOUR)
})
