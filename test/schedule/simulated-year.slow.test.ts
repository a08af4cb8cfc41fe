/**
 * A year of fifty experiments in six zones, in virtual time, against a calculation that shares nothing with ours but the
 * parsed fields: it asks Intl what the clock shows, and looks at every minute of the year.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from 'node-cron'
import { DEFAULT_TIMING } from '../../src/core/experiment.ts'
import type { ScheduledExperiment } from '../../src/core/experiment.ts'
import { seededRandom } from '../../src/core/random.ts'
import { memoryHandled } from '../../src/schedule/watermark.ts'
import type { HandledStore } from '../../src/schedule/watermark.ts'
import { openSchedule } from '../../src/schedule/schedule.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { VirtualClock } from '../fakes/virtual-clock.ts'

const MINUTE = 60_000
const HOUR = 3_600_000
const DAY = 24 * HOUR
/** Both changes of both halves of the earth lie in it. */
const FROM = Date.UTC(2026, 0, 15, 9, 7)
const TO = Date.UTC(2027, 0, 15, 9, 7)

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata', 'Pacific/Chatham']
/** Seconds are 0, so that the other side need only look at minutes. */
const SCHEDULES = [
  '0 30 2 * * *',
  '0 0 2 * * *',
  '0 15 1 * * sun',
  '0 45 2,3 * * *',
  '0 5 0-4 * * sat-mon',
  '0 */20 * * * *',
  '0 10 * * * *',
  '0 0 */6 1,15,L * *',
  '0 59 23 LW * *',
]
const FIFTY = Array.from({ length: 50 }, (_, i) => {
  const timezone = ZONES[i % ZONES.length] as string
  return entry(`e${i}`, SCHEDULES[Math.floor(i / ZONES.length)] as string, { timezone })
})

function entry(name: string, schedule: string, more: Partial<ScheduledExperiment>): ScheduledExperiment {
  return { ...DEFAULT_TIMING, experiment: fakeExperiment([], { name }), schedule, enabled: true, ...more }
}

interface Record {
  name: string
  slot: number
  /** Undefined: it ran. */
  cause?: string
  reason?: string
}

/** Runs the schedule until the clock's end; `act` may set the clock or hand in other entries. */
async function live(
  clock: VirtualClock,
  entries: readonly ScheduledExperiment[],
  handled: HandledStore,
  act: (schedule: ReturnType<typeof openSchedule>) => void = () => undefined,
): Promise<Record[]> {
  const records: Record[] = []
  // Where the clock was set back by days, it says so.
  const problem = (message: string): void => assert.match(message, /the clock was there when it last ran/)
  const schedule = openSchedule({
    entries,
    install: 'year',
    clock,
    handled,
    events: {
      due: ({ experiment: { name } }, slot) => records.push({ name, slot: slot.getTime() }),
      skipped: ({ experiment: { name } }, slot, cause, reason) =>
        records.push({ name, slot: slot.getTime(), cause, reason }),
      closed: () => undefined,
      stepped: () => undefined,
      problem,
    },
  })
  clock.onMove = () => act(schedule)
  schedule.start()
  await clock.over
  schedule.stop()
  return records
}

const FIRST_MINUTE = Math.floor(FROM / HOUR) * HOUR

/** What a zone's clock shows in each minute since FIRST_MINUTE, and which minutes it leaves out, by asking Intl. */
interface Shown {
  date: string[]
  /** Of the day. */
  minute: number[]
  /** The clock showed that before. */
  again: boolean[]
  left: { date: string; minute: number }[]
}

function show(timezone: string): Shown {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short', timeStyle: 'short' })
  const shown: Shown = { date: [], minute: [], again: [], left: [] }
  let latest = ''
  let next = ''
  // A quarter of an hour at a time: no clock is set at another moment, and none of these zones has a day that begins within one.
  for (let at = FIRST_MINUTE; at <= TO; at += 15 * MINUTE) {
    const wall = format.format(at)
    for (; next !== '' && next < wall; next = plusMinutes(next, 15)) {
      for (let m = 0; m < 15; m++) shown.left.push({ date: next.slice(0, 10), minute: minuteOf(next) + m })
    }
    const date = wall.slice(0, 10)
    for (let m = 0; m < 15; m++) {
      shown.date.push(date)
      shown.minute.push(minuteOf(wall) + m)
      shown.again.push(wall <= latest)
    }
    if (wall > latest) latest = wall
    next = plusMinutes(latest, 15)
  }
  return shown
}

function minuteOf(wall: string): number {
  return Number(wall.slice(11, 13)) * 60 + Number(wall.slice(14))
}

function plusMinutes(wall: string, minutes: number): string {
  const at = Date.parse(`${wall.replace(' ', 'T')}Z`) + minutes * MINUTE
  return new Date(at).toISOString().slice(0, 16).replace('T', ' ')
}

/** What ought to be: the due instants after `from` up to `to`, and the local times that do not exist. */
function oughtToBe(
  { schedule = '' }: ScheduledExperiment,
  { date, minute, again, left }: Shown,
  from: number,
  to: number,
): { runs: number[]; lost: string[] } {
  const fields = parse(schedule)
  const everyHour = fields.hour.length === 24
  const times = Array.from({ length: 1440 }, (_, m) => {
    return fields.hour.includes(Math.floor(m / 60)) && fields.minute.includes(m % 60)
  })
  const days = new Map<string, boolean>()
  const fits = (day: string, m: number): boolean => {
    if (times[m] !== true) return false
    const fit = days.get(day) ?? fitsDay(fields, day)
    days.set(day, fit)
    return fit
  }
  const runs: number[] = []
  for (let i = 0; i < minute.length; i++) {
    const at = FIRST_MINUTE + i * MINUTE
    if (at <= from || at > to || !fits(date[i]!, minute[i]!)) continue
    if (everyHour || again[i] === false) runs.push(at)
  }
  const lost = left.filter(({ date: day, minute: m }) => !everyHour && fits(day, m))
  return { runs, lost: lost.map(({ date: day, minute: m }) => `${day} ${two(Math.floor(m / 60))}:${two(m % 60)}`) }
}

function two(n: number): string {
  return String(n).padStart(2, '0')
}

function fitsDay(fields: ReturnType<typeof parse>, date: string): boolean {
  const [year, month, day] = date.split('-').map(Number) as [number, number, number]
  const last = new Date(Date.UTC(year, month, 0)).getUTCDate()
  const weekday = (d: number): number => new Date(Date.UTC(year, month - 1, d)).getUTCDay()
  const lastWorkday = [last, last - 1, last - 2].find((d) => weekday(d) % 6 !== 0)
  return (
    fields.month.includes(month) &&
    fields.dayOfWeek.includes(weekday(day)) &&
    fields.dayOfMonth.some((d) => d === day || (d === 'L' && day === last) || (d === 'LW' && day === lastWorkday))
  )
}

function byName(records: readonly Record[]): (name: string) => Record[] {
  const groups = new Map<string, Record[]>()
  for (const record of records) {
    const group = groups.get(record.name) ?? []
    groups.set(record.name, group)
    group.push(record)
  }
  return (name) => groups.get(name) ?? []
}

function runsOf(records: readonly Record[]): number[] {
  return records.filter((r) => r.cause === undefined).map((r) => r.slot)
}

function assertNoneTwice(records: readonly Record[]): void {
  const seen = new Set<string>()
  for (const { name, slot, cause } of records) {
    if (cause !== undefined) continue
    const key = `${name} ${slot}`
    assert.ok(!seen.has(key), `${key} ran twice`)
    seen.add(key)
  }
}

describe('a simulated year of 50 experiments in 6 zones', () => {
  const shown = new Map(ZONES.map((zone) => [zone, show(zone)]))
  const of = (one: ScheduledExperiment, from: number, to: number) => oughtToBe(one, shown.get(one.timezone)!, from, to)

  test('runs exactly what an independent calculation says, none twice, and every lost time has its reason', async () => {
    const records = await live(new VirtualClock(FROM, TO - FROM), FIFTY, memoryHandled())
    assertNoneTwice(records)
    const named = byName(records)
    let lostInAll = 0
    for (const one of FIFTY) {
      const { name } = one.experiment
      const { runs, lost } = of(one, FROM, TO)
      assert.deepEqual(runsOf(named(name)), runs, `${name} ${one.schedule ?? ''} ${one.timezone}`)
      const told = named(name).filter((r) => r.cause !== undefined)
      assert.ok(told.every((r) => r.cause === 'no_such_time'))
      const text = told.map((r) => r.reason).join('\n')
      for (const wall of lost) assert.ok(text.includes(`${wall}:00`), `${name}: nothing is said of ${wall}`)
      assert.equal(told.length, new Set(lost.map((wall) => wall.slice(0, 10))).size)
      lostInAll += lost.length
    }
    assert.ok(lostInAll >= 10, `${lostInAll} lost times`)
  })

  test('with a restart, a reload and a clock that is set forward and back, what did not run is missed, and none runs twice', async () => {
    const handled = memoryHandled()
    const steps: [number, number][] = [
      [20 * DAY, HOUR],
      [30 * DAY, -HOUR],
      [40 * DAY, 3 * DAY],
      [60 * DAY, -2 * DAY],
      [61 * DAY, 2 * DAY],
    ]
    const clock = new VirtualClock(FROM, 150 * DAY)
    let reloaded = false
    const first = await live(clock, FIFTY, handled, (schedule) => {
      const [at = Infinity, by = 0] = steps[0] ?? []
      if (clock.monotonic() >= at) {
        steps.shift()
        clock.step(by)
      }
      if (!reloaded && clock.monotonic() >= 80 * DAY) {
        reloaded = true
        schedule.replace([...FIFTY])
      }
    })
    const stopped = clock.now()
    // Down for a day and a half; the file is all that is left.
    const again = memoryHandled(structuredClone(handled.slots))
    const second = await live(new VirtualClock(stopped + 1.5 * DAY, 200 * DAY), FIFTY, again)
    const records = [...first, ...second]
    assertNoneTwice(records)
    const end = stopped + 201.5 * DAY
    const named = byName(records)
    for (const one of FIFTY) {
      const { name } = one.experiment
      const runs = new Set(runsOf(named(name)))
      const missed = named(name).filter((r) => r.cause === 'missed')
      const due = of(one, FROM, end)
      for (const at of due.runs) {
        const told = missed.some((r) => at <= r.slot && at > r.slot - 4 * DAY)
        assert.ok(runs.has(at) || told, `${name}: nothing is said of ${new Date(at).toISOString()}`)
      }
      const right = new Set(due.runs)
      for (const at of runs) assert.ok(right.has(at), `${name} ran at ${new Date(at).toISOString()}`)
      // Down, and two steps forward, are at most five days of the year.
      assert.ok(runs.size >= (due.runs.length * 355) / 365 - 12, `${name} ran ${runs.size} of ${due.runs.length} times`)
    }
  })

  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`whatever is done to the clock and the process, no slot runs twice (seed ${seed})`, async () => {
      const random = seededRandom(seed)
      const entries = FIFTY.filter((_, i) => i % 7 === seed % 7).map((one) => ({
        ...one,
        jitter_ms: random.int(2) * 40 * MINUTE,
        on_missed: random.pick(['skip', 'run_once'] as const) ?? 'skip',
      }))
      const records: Record[] = []
      let slots = memoryHandled().slots
      let wall = FROM
      for (let life = 0; life < 12; life++) {
        const clock = new VirtualClock(wall, 3 * DAY)
        const handled = memoryHandled(slots)
        records.push(
          ...(await live(clock, entries, handled, (schedule) => {
            if (random.int(2_000) === 0)
              clock.step(Math.round((random.next() - 0.5) * 2 * [HOUR, DAY, 20 * DAY][random.int(3)]!))
            if (random.int(4_000) === 0) clock.stall(random.int(5 * HOUR))
            if (random.int(4_000) === 0) schedule.replace(entries)
          })),
        )
        slots = structuredClone(slots)
        wall = clock.now() + Math.round((random.next() - 0.3) * DAY)
      }
      assert.ok(records.length > 100)
      assertNoneTwice(records)
    })
  }
})
