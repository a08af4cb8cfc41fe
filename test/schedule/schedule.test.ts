import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePeriod } from '../../src/config/periods.ts'
import type { Period } from '../../src/core/periods.ts'
import { systemClock } from '../../src/core/clock.ts'
import { DEFAULT_TIMING } from '../../src/core/experiment.ts'
import type { ScheduledExperiment } from '../../src/core/experiment.ts'
import { memoryHandled } from '../../src/schedule/watermark.ts'
import type { Handled, HandledStore } from '../../src/schedule/watermark.ts'
import { openSchedule } from '../../src/schedule/schedule.ts'
import type { Schedule, ScheduleOptions } from '../../src/schedule/schedule.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { VirtualClock } from '../fakes/virtual-clock.ts'

const SECOND = 1_000
const MINUTE = 60_000
const HOUR = 3_600_000
const DAY = 24 * HOUR
const START = Date.UTC(2026, 0, 7) // a Wednesday

function entry(
  name: string,
  schedule: string | undefined,
  more: Partial<ScheduledExperiment> = {},
): ScheduledExperiment {
  const experiment = fakeExperiment([], { name })
  return { ...DEFAULT_TIMING, experiment, ...(schedule !== undefined && { schedule }), enabled: true, ...more }
}

function period(text: string, reason?: string): Period {
  const found = parsePeriod(text)
  if (typeof found === 'string') throw new Error(found)
  return { ...found, ...(reason !== undefined && { reason }) }
}

/** What a schedule says, a line each, with the time at which it said it. */
function listen(options: Partial<ScheduleOptions> & { clock: VirtualClock }): {
  schedule: Schedule
  told: string[]
  store: HandledStore
} {
  const told: string[] = []
  const store = options.handled ?? memoryHandled()
  const say = (what: string): void => {
    told.push(`${new Date(options.clock.now()).toISOString().slice(5, 19).replace('T', ' ')} ${what}`)
  }
  const iso = (slot: Date): string => slot.toISOString().slice(5, 19).replace('T', ' ')
  const schedule = openSchedule({
    entries: [],
    install: 'test',
    handled: store,
    events: {
      due: ({ experiment }, slot) => say(`due ${experiment.name} ${iso(slot)}`),
      skipped: ({ experiment }, slot, cause, reason) => say(`${cause} ${experiment.name} ${iso(slot)}: ${reason}`),
      closed: ({ experiment }, cause, reason) => say(`closed ${experiment.name} ${cause}: ${reason}`),
      stepped: (ms) => say(`stepped ${ms}`),
      problem: (message) => say(`problem ${message}`),
    },
    ...options,
  })
  return { schedule, told, store }
}

/** Everything said in so much time. */
async function during(
  ms: number,
  options: Partial<ScheduleOptions> & { at?: number; onMove?: VirtualClock['onMove'] },
) {
  const clock = new VirtualClock(options.at ?? START, ms)
  if (options.onMove) clock.onMove = options.onMove
  const heard = listen({ ...options, clock })
  heard.schedule.start()
  await clock.over
  heard.schedule.stop()
  return { ...heard, clock }
}

/** Once, when the time has come. */
function once(at: number, act: (clock: VirtualClock) => void): VirtualClock['onMove'] {
  let done = false
  return (clock) => {
    if (done || clock.now() < at) return
    done = true
    act(clock)
  }
}

const events = { skipped: () => undefined, closed: () => undefined, stepped: () => undefined, problem: () => undefined }

test('an experiment of every second is due every second, at its slot and never before it', async () => {
  const slots: { slot: number; at: number }[] = []
  const due = (_: ScheduledExperiment, slot: Date): void => void slots.push({ slot: slot.getTime(), at: Date.now() })
  const schedule = openSchedule({
    entries: [entry('e', '* * * * * *')],
    install: 'test',
    clock: systemClock,
    handled: memoryHandled(),
    events: { ...events, due },
  })
  schedule.start()
  await until(() => slots.length >= 3, 'it is not due three times')
  schedule.stop()
  for (const [i, { slot, at }] of slots.entries()) {
    assert.equal(slot % 1000, 0)
    assert.ok(at >= slot, `due ${slot - at} ms before its slot`)
    if (i > 0) assert.equal(slot - slots[i - 1]!.slot, 1000)
  }
})

test('nothing is due before start, after stop, when disabled or without a schedule', async () => {
  const names: string[] = []
  const due = ({ experiment }: ScheduledExperiment): void => void names.push(experiment.name)
  const every = '* * * * * *'
  const entries = [entry('on', every), entry('off', every, { enabled: false }), entry('none', undefined)]
  const options = { entries, install: 'test', clock: systemClock, events: { ...events, due } }
  const never = openSchedule({ ...options, handled: memoryHandled() })
  const schedule = openSchedule({ ...options, handled: memoryHandled() })
  schedule.start()
  await until(() => names.length > 0, 'nothing is due')
  schedule.stop()
  assert.deepEqual(new Set(names), new Set(['on']))
  const n = names.length
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  assert.equal(names.length, n)
  never.stop()
})

test('next is the next slot in the time zone of the experiment that its windows allow; of others it is undefined', () => {
  const windows = [[period('Sat 00:00-12:00')]]
  const entries = [
    entry('utc', '0 30 3 1 1 *'),
    entry('tokyo', '0 30 3 1 1 *', { timezone: 'Asia/Tokyo' }),
    entry('off', '* * * * * *', { enabled: false }),
    entry('window', '0 0 */6 * * *', { windows }),
    entry('never', '0 0 13 * * *', { windows }),
  ]
  const { schedule } = listen({ entries, clock: new VirtualClock(START, 0) })
  assert.equal(schedule.next('utc')?.toISOString(), `2027-01-01T03:30:00.000Z`)
  assert.equal(schedule.next('tokyo')?.toISOString(), '2026-12-31T18:30:00.000Z')
  assert.equal(schedule.next('window')?.toISOString(), '2026-01-10T00:00:00.000Z')
  assert.deepEqual(
    [schedule.next('off'), schedule.next('unknown'), schedule.next('never')],
    [undefined, undefined, undefined],
  )
  assert.equal(schedule.next('utc', Date.parse('2027-01-01T03:30:00Z'))?.toISOString(), '2028-01-01T03:30:00.000Z')
  assert.equal(schedule.closedNow('window')?.cause, 'window')
  assert.equal(schedule.closedNow('utc'), undefined)
})

test('slots that passed while the process could not run are missed; one that is less than 30 s late is still due', async () => {
  const stall = [25 * SECOND, 0, 2 * HOUR + 10 * MINUTE]
  const onMove = (clock: VirtualClock): void => {
    // Each time it wakes for a slot.
    if (clock.now() % HOUR === 0) clock.stall(stall.shift() ?? 0)
  }
  const { told } = await during(6 * HOUR, { entries: [entry('e', '0 0 * * * *')], onMove })
  assert.deepEqual(told, [
    '01-07 01:00:25 due e 01-07 01:00:00',
    '01-07 02:00:00 due e 01-07 02:00:00',
    '01-07 05:10:00 missed e 01-07 05:00:00: 3 due times from 2026-01-07 03:00:00 UTC to 2026-01-07 05:00:00 UTC passed while this process could not run',
    '01-07 06:00:00 due e 01-07 06:00:00',
  ])
})

test('a day that is jumped over by a schedule of every second is one record, and takes no time', async () => {
  const begun = performance.now()
  const { told } = await during(10 * SECOND, {
    entries: [entry('e', '* * * * * *')],
    onMove: once(START + 5 * SECOND, (clock) => clock.step(DAY)),
  })
  assert.ok(performance.now() - begun < 2_000)
  const [missed, ...more] = told.filter((line) => line.includes(' missed '))
  assert.match(missed ?? '', /: 86370 due times from 2026-01-07 00:00:05 UTC to 2026-01-07 23:59:34 UTC passed/)
  assert.equal(more.length, 0)
  assert.ok(told.includes(`01-08 00:00:05 stepped ${DAY}`))
})

test('with run_once the newest missed slot runs once, if it is not older than missed_grace', async () => {
  const late = (more: Partial<ScheduledExperiment>) =>
    during(8 * HOUR, {
      entries: [entry('e', '0 0 * * * *', { on_missed: 'run_once', ...more })],
      onMove: once(START + HOUR, (clock) => clock.stall(3.5 * HOUR)),
    })
  const within = await late({})
  assert.deepEqual(within.told.slice(0, 3), [
    '01-07 04:30:00 missed e 01-07 03:00:00: 3 due times from 2026-01-07 01:00:00 UTC to 2026-01-07 03:00:00 UTC passed while this process could not run; the one after them runs now instead',
    '01-07 04:30:00 due e 01-07 04:00:00',
    '01-07 05:00:00 due e 01-07 05:00:00',
  ])
  const older = await late({ missed_grace_ms: 20 * MINUTE })
  assert.match(
    older.told[0] ?? '',
    /^01-07 04:30:00 missed e 01-07 04:00:00: 4 due times .*older than missed_grace \(20m\)/,
  )
})

test('what was due while no daemon was up is missed; a new, an edited and a returning schedule have missed nothing', async () => {
  const hourly = '0 0 * * * *'
  const first = await during(2 * HOUR, { entries: [entry('a', hourly), entry('b', hourly), entry('c', hourly)] })
  assert.equal(first.told.length, 6)
  const slots = structuredClone(first.store.slots)
  const second = await during(HOUR, {
    at: START + 5.5 * HOUR,
    entries: [
      entry('a', hourly),
      entry('b', '0 0 */2 * * *'),
      entry('new', hourly),
      entry('c', hourly, { enabled: false }),
    ],
    handled: memoryHandled(slots),
  })
  assert.deepEqual(second.told, [
    '01-07 05:30:00 missed a 01-07 05:00:00: 3 due times from 2026-01-07 03:00:00 UTC to 2026-01-07 05:00:00 UTC passed while no daemon was up',
    '01-07 06:00:00 due a 01-07 06:00:00',
    '01-07 06:00:00 due b 01-07 06:00:00',
    '01-07 06:00:00 due new 01-07 06:00:00',
  ])
  const third = await during(HOUR, {
    at: START + 8.5 * HOUR,
    entries: [entry('c', hourly)],
    handled: memoryHandled(slots),
  })
  assert.deepEqual(third.told, ['01-07 09:00:00 due c 01-07 09:00:00'])
})

test('a slot never runs twice when the clock is set back, also over a restart; one that was jumped over may run then', async () => {
  const entries = [entry('e', '0 */10 * * * *')]
  const back = await during(3 * HOUR, {
    entries,
    onMove: once(START + 2 * HOUR, (clock) => clock.step(-HOUR)),
  })
  const due = back.told.filter((line) => line.includes('due e')).map((line) => line.slice(-14))
  assert.equal(new Set(due).size, due.length)
  assert.equal(due.length, 12)
  const restarted = await during(HOUR, { at: START + HOUR, entries, handled: back.store })
  assert.deepEqual(restarted.told, [])

  // Somebody sets the clock a year ahead, and back an hour later: the year is not lost.
  const ahead = await during(4 * HOUR, {
    entries,
    onMove: (clock) => {
      if (clock.monotonic() === HOUR) clock.step(365 * DAY)
      if (clock.monotonic() === 2 * HOUR) clock.step(-365 * DAY)
    },
  })
  const runs = ahead.told.filter((line) => line.includes('due e')).map((line) => line.slice(-14))
  assert.equal(ahead.told.filter((line) => line.includes('stepped')).length, 2)
  assert.ok(runs.length >= 22 && runs.length <= 24, `${runs.length} runs`)
})

test('a local time that does not exist is told or run directly after; one that comes twice runs once; intervals go on', async () => {
  const zone = { timezone: 'Europe/Berlin' }
  const entries = [
    entry('fixed', '0 30 2 * * *', zone),
    entry('once', '0 30 2 * * *', { ...zone, on_missed: 'run_once' }),
    entry('interval', '0 0,30 * * * *', zone),
  ]
  const spring = await during(3 * HOUR, { at: Date.UTC(2026, 2, 29, 0, 10), entries })
  assert.deepEqual(spring.told, [
    '03-29 00:30:00 due interval 03-29 00:30:00',
    '03-29 01:00:00 no_such_time fixed 03-29 01:00:00: 2026-03-29 02:30:00 does not exist in Europe/Berlin: the clocks were set forward',
    '03-29 01:00:00 due once 03-29 01:00:00',
    ...['01:00', '01:30', '02:00', '02:30', '03:00'].map((at) => `03-29 ${at}:00 due interval 03-29 ${at}:00`),
  ])
  const autumn = await during(3 * HOUR, { at: Date.UTC(2026, 9, 25, 0, 10), entries })
  assert.deepEqual(
    autumn.told.filter((line) => !line.includes('interval')),
    ['10-25 00:30:00 due fixed 10-25 00:30:00', '10-25 00:30:00 due once 10-25 00:30:00'],
  )
  assert.equal(autumn.told.filter((line) => line.includes('interval')).length, 6)
})

test('a due time outside its windows or in a blackout is skipped; a run in progress is told when they close', async () => {
  const entries = [
    entry('night', '0 0 */4 * * *', { windows: [[period('21:00-05:00')], [period('Wed 00:00-24:00')]] }),
    entry('sale', '0 0 */4 * * *', { blackouts: [period('Wed 07:00-13:00', 'sale')] }),
  ]
  const { told } = await during(DAY - MINUTE, { at: START + MINUTE, entries })
  assert.deepEqual(told, [
    '01-07 04:00:00 due night 01-07 04:00:00',
    '01-07 04:00:00 due sale 01-07 04:00:00',
    '01-07 05:00:00 closed night window: outside 21:00-05:00 (UTC)',
    '01-07 07:00:00 closed sale blackout: blackout Wed 07:00-13:00: sale',
    '01-07 08:00:00 window night 01-07 08:00:00: outside 21:00-05:00 (UTC)',
    '01-07 08:00:00 blackout sale 01-07 08:00:00: blackout Wed 07:00-13:00: sale',
    '01-07 12:00:00 window night 01-07 12:00:00: outside 21:00-05:00 (UTC)',
    '01-07 12:00:00 blackout sale 01-07 12:00:00: blackout Wed 07:00-13:00: sale',
    '01-07 16:00:00 window night 01-07 16:00:00: outside 21:00-05:00 (UTC)',
    '01-07 16:00:00 due sale 01-07 16:00:00',
    '01-07 20:00:00 window night 01-07 20:00:00: outside 21:00-05:00 (UTC)',
    '01-07 20:00:00 due sale 01-07 20:00:00',
    '01-08 00:00:00 closed night window: outside Wed 00:00-24:00 (UTC)',
    '01-08 00:00:00 window night 01-08 00:00:00: outside Wed 00:00-24:00 (UTC)',
    '01-08 00:00:00 due sale 01-08 00:00:00',
  ])
})

test('jitter delays a run, never beyond the next slot, the same way after a restart, and never out of a window', async () => {
  const jittered = [entry('e', '0 */10 * * * *', { jitter_ms: HOUR })]
  const { told } = await during(DAY, { entries: jittered })
  const delays = told.map((line) => {
    const [, at = '', slot = ''] = /^(\S+ \S+) due e (\S+ \S+)$/.exec(line) ?? []
    return Date.parse(`2026-${at}Z`) - Date.parse(`2026-${slot}Z`)
  })
  assert.equal(delays.length, 143)
  assert.ok(delays.every((delay) => delay >= 0 && delay < 10 * MINUTE))
  assert.ok(new Set(delays).size > 100)
  const again = await during(DAY, { entries: jittered, at: START - 5 * SECOND })
  assert.deepEqual(
    again.told.slice(1, 100).map((l) => l.slice(6)),
    told.slice(0, 99).map((l) => l.slice(6)),
  )
  const { told: closed } = await during(DAY, {
    entries: [entry('e', '0 59 * * * *', { jitter_ms: HOUR, windows: [[period('00:00-01:00')]] })],
  })
  assert.match(closed[1] ?? '', /^01-07 01:.* window e 01-07 00:59:00: outside/)
})

test('what is handled stays handled over a reload, an edited schedule starts afresh, and new rules are looked at at once', async () => {
  const clock = new VirtualClock(START, 2 * HOUR)
  const { schedule, told } = listen({ clock, entries: [entry('a', '0 0 * * * *'), entry('b', '0 0 * * * *')] })
  clock.onMove = once(START + HOUR, () => {
    const blackouts = [period('Wed 00:00-02:00')]
    schedule.replace([entry('a', '0 0 * * * *', { blackouts }), entry('b', '0 30 * * * *'), entry('c', '0 45 * * * *')])
  })
  schedule.start()
  await clock.over
  schedule.stop()
  assert.deepEqual(told, [
    '01-07 01:00:00 closed a blackout: blackout Wed 00:00-02:00',
    '01-07 01:00:00 blackout a 01-07 01:00:00: blackout Wed 00:00-02:00',
    '01-07 01:30:00 due b 01-07 01:30:00',
    '01-07 01:45:00 due c 01-07 01:45:00',
    '01-07 02:00:00 due a 01-07 02:00:00',
  ])
})

test('what is due is saved before it is told, and not run where it cannot be saved', async () => {
  const saved: string[] = []
  let full = false
  const slots = new Map<string, Handled>()
  const handled: HandledStore = {
    slots,
    save() {
      if (full) return Promise.reject(new Error('no space left'))
      saved.push(new Date(slots.get('e')!.until).toISOString().slice(11, 16))
      return Promise.resolve()
    },
  }
  const { told } = await during(3 * HOUR, {
    entries: [entry('e', '0 0 * * * *')],
    handled,
    onMove: (clock) => {
      full = clock.now() > START + HOUR && clock.now() < START + 2.5 * HOUR
    },
  })
  assert.deepEqual(saved, ['00:00', '01:00', '02:00', '03:00'])
  const kinds = told.map((line) => line.slice(15).replace(/:(?! ?\d).*/, ''))
  assert.ok(kinds.some((line) => line.startsWith('problem cannot write schedule.json')))
  assert.ok(kinds.some((line) => line.startsWith('error e 01-07 02:00:00')))
  assert.ok(kinds.includes('due e 01-07 03:00:00'))
})
