/** Schedules, durations and periods of every shape: no hang, no exception, nothing due in the past, nothing left out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as nodeCron from 'node-cron'
import { parsePeriod } from '../../src/config/periods.ts'
import { scheduleProblem, sixFields } from '../../src/config/schedule.ts'
import { calendar } from '../../src/schedule/calendar.ts'
import { cron } from '../../src/schedule/cron.ts'
import { formatDuration, parseDuration } from '../../src/core/duration.ts'
import { openZone } from '../../src/schedule/zone.ts'

const SECOND = 1_000
const DAY = 86_400_000
/** Instants from 1999 to 2040, to the millisecond. */
const instant = fc.integer({ min: Date.UTC(1999, 0), max: Date.UTC(2040, 0) })
const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu'].map(openZone)
/** `CHAOS_FUZZ=50` looks for fifty times as long. */
const TIMES = Number(process.env['CHAOS_FUZZ'] ?? 1)
const runs = (numRuns: number) => ({ numRuns: numRuns * TIMES, interruptAfterTimeLimit: 1_500 * TIMES })

function field(min: number, max: number, more: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const n = fc.integer({ min, max })
  const range = fc.tuple(n, n).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`)
  const step = fc.tuple(fc.oneof(fc.constant('*'), range), fc.integer({ min: 1, max })).map(([of, by]) => `${of}/${by}`)
  const one = fc.oneof(n.map(String), range, step)
  const list = fc.array(one, { minLength: 1, maxLength: 3 }).map((entries) => entries.join(','))
  return fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, { weight: 4, arbitrary: list }, more)
}

/** What the grammar of the documentation allows. */
const schedule = fc
  .tuple(
    field(0, 59, fc.constant('*/7')),
    field(0, 59, fc.constant('0')),
    field(0, 23, fc.constant('22-2')),
    field(1, 31, fc.constantFrom('L', 'LW', '15W', 'L-3')),
    field(1, 12, fc.constantFrom('jan', 'feb-apr')),
    field(0, 7, fc.constantFrom('mon', 'fri-sun', '5L', '1#2')),
  )
  .map((fields) => fields.join(' '))

const junk = fc.constantFrom(
  'L',
  'W',
  '#',
  '/',
  '-',
  ',',
  '?',
  '*',
  '0',
  '99',
  '7',
  ' ',
  '\t',
  '@daily',
  'é',
  '\0',
  '1e9',
)
const mutated = fc
  .tuple(schedule, fc.array(fc.tuple(fc.nat(40), fc.nat(3), junk), { minLength: 1, maxLength: 4 }))
  .map(([text, edits]) =>
    edits.reduce(
      (now, [at, cut, put]) => now.slice(0, at % (now.length + 1)) + put + now.slice((at % (now.length + 1)) + cut),
      text,
    ),
  )

function accepted(text: string): ReturnType<typeof nodeCron.parse> | undefined {
  if (scheduleProblem(text, nodeCron) !== undefined) return undefined
  return nodeCron.parse(sixFields(text))
}

test('a schedule that is accepted can be parsed and is next due after now, however it was written; the others get a sentence', () => {
  let [good, bad] = [0, 0]
  fc.assert(
    fc.property(fc.oneof(schedule, mutated, fc.string()), fc.nat(4), instant, (text, zone, now) => {
      const fields = accepted(text)
      if (fields) good++
      else bad++
      if (!fields) return
      const begun = performance.now()
      const due = cron(fields, zones[zone]!).next(now)
      assert.ok(performance.now() - begun < 2_000, `${text} takes too long`)
      assert.ok(due === undefined || due.at > now, `${text} is due at ${due?.at}, and it is ${now}`)
    }),
    runs(1_500),
  )
  assert.ok(good > 0 && bad > 0)
})

/** By what a schedule says, asked of every second: slow, and without any of the arithmetic. */
function dueAt(fields: ReturnType<typeof nodeCron.parse>, at: number): boolean {
  const date = new Date(at)
  const numbers = (list: readonly unknown[]): readonly unknown[] => list
  return (
    numbers(fields.second).includes(date.getUTCSeconds()) &&
    numbers(fields.minute).includes(date.getUTCMinutes()) &&
    numbers(fields.hour).includes(date.getUTCHours()) &&
    numbers(fields.dayOfMonth).includes(date.getUTCDate()) &&
    numbers(fields.month).includes(date.getUTCMonth() + 1) &&
    numbers(fields.dayOfWeek).includes(date.getUTCDay())
  )
}

test('going second by second finds the same next due time as the calendar', () => {
  let found = 0
  fc.assert(
    fc.property(schedule, instant, (text, now) => {
      const fields = accepted(text)
      // The special days have a test of their own, against node-cron.
      if (!fields || [...fields.dayOfMonth, ...fields.dayOfWeek].some((value) => typeof value === 'string')) return
      const due = cron(fields, zones[0]!).next(now)?.at ?? Infinity
      for (let at = (Math.floor(now / SECOND) + 1) * SECOND, left = 20_000; left > 0; at += SECOND, left--) {
        if (!dueAt(fields, at)) continue
        found++
        assert.equal(due, at, `${text} after ${new Date(now).toISOString()}`)
        return
      }
      assert.ok(due > now + 20_000 * SECOND - SECOND, `${text} after ${new Date(now).toISOString()}`)
    }),
    runs(300),
  )
  assert.ok(found > 0)
})

test('a schedule that node-cron can run is accepted, and one that it cannot is not', () => {
  fc.assert(
    fc.property(fc.oneof(schedule, mutated), (text) => {
      const fields = text.trim().split(/\s+/)
      if (fields.length !== 6 || /\d{3}|\/0|[^\x20-\x7e]/.test(text)) return
      const problem = scheduleProblem(text, nodeCron)
      const ours = problem === undefined
      // We refuse steps that are longer than the field; else the two agree.
      if (!ours && fields.some((part, i) => Number(/\/(\d+)/.exec(part)?.[1] ?? 1) > [59, 59, 23, 31, 12, 7][i]!))
        return
      // node-cron takes some that never come; the calendar says which.
      if (problem?.startsWith('never happens') && nodeCron.validate(fields.join(' '))) {
        assert.equal(cron(nodeCron.parse(fields.join(' ')), zones[0]!).next(0), undefined, text)
        return
      }
      assert.equal(ours, nodeCron.validate(fields.join(' ')), text)
    }),
    runs(1_500),
  )
})

test('every text is a duration or none, and what is written is read back to the same text', () => {
  const near = fc.array(fc.constantFrom('1', '99', '0', '.', '5', 'ms', 's', 'm', 'h', 'd', ' ', '-', 'e', 'é'), {
    maxLength: 9,
  })
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        near.map((parts) => parts.join('')),
      ),
      (text) => {
        const ms = parseDuration(text)
        assert.ok(ms === undefined || (Number.isInteger(ms) && ms >= 0), text)
      },
    ),
    runs(3_000),
  )
  fc.assert(
    fc.property(fc.oneof(fc.nat(100_000), fc.nat(10 * DAY), fc.nat(2 ** 31 - 1)), (ms) => {
      const text = formatDuration(ms)
      const back = parseDuration(text)
      assert.ok(back !== undefined, text)
      assert.equal(formatDuration(back), text)
      // Two units are kept: what is dropped is less than the smaller of them.
      assert.ok(Math.abs(back - ms) <= Math.max(500, ms / 20), `${ms} is written ${text}`)
    }),
    runs(3_000),
  )
})

const time = fc
  .tuple(fc.nat(25), fc.nat(61))
  .map(([h, m]) => `${String(h).padStart(2, '0')}:${String(m).padStart(2, '0')}`)
const days = fc.constantFrom('', 'Mon ', 'Mon-Fri ', 'sat,Sun ', 'fri-mon ', 'Someday ', 'Mon-Fri-Sun ')
const date = fc
  .tuple(fc.integer({ min: 0, max: 9999 }), fc.nat(13), fc.nat(32))
  .map(([y, m, d]) => `${String(y).padStart(4, '0')}-${String(m).padStart(2, '0')}-${String(d).padStart(2, '0')}`)
const period = fc.oneof(
  fc.tuple(days, time, time).map(([on, from, to]) => `${on}${from}-${to}`),
  fc.tuple(date, date).map(([from, to]) => `${from}..${to}`),
  days,
  date,
  fc.string(),
)

test('a period is one with a beginning before its end, or a sentence; and no instant is without an answer', () => {
  let good = 0
  fc.assert(
    fc.property(period, fc.boolean(), fc.nat(4), instant, (text, asWindow, zone, now) => {
      const read = parsePeriod(text)
      if (typeof read === 'string') {
        assert.notEqual(read, '')
        return
      }
      good++
      assert.ok(read.from < read.to, text)
      const rules = asWindow ? { windows: [[read]], blackouts: [] } : { windows: [], blackouts: [read] }
      const { closed, until } = calendar(rules, zones[zone]!)!.at(now)
      assert.ok(until === undefined || until > now, `${text}: it stays so until ${until}, and it is ${now}`)
      assert.ok(closed === undefined || closed.reason.includes(read.text))
    }),
    runs(1_500),
  )
  assert.ok(good > 0)
})
