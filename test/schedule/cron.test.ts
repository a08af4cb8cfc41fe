import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTask, parse } from 'node-cron'
import { cron } from '../../src/schedule/cron.ts'
import type { Cron } from '../../src/schedule/cron.ts'
import { instantsOf, openZone } from '../../src/schedule/zone.ts'

const DAY = 86_400_000

const times = (schedule: string, zone = 'UTC'): Cron => cron(parse(schedule), openZone(zone))

function list(schedule: string, zone: string, after: string, n: number): string[] {
  const found: string[] = []
  let due = times(schedule, zone).next(Date.parse(after))
  for (; due && found.length < n; due = times(schedule, zone).next(due.at)) {
    const iso = new Date(due.at).toISOString().replace('.000Z', 'Z')
    found.push(`${iso}${due.exists ? '' : ' lost'}${due.exists && due.lost ? ` and ${due.lost.count} lost` : ''}`)
  }
  return found
}

test('a time that the clocks jump over comes up at the jump as lost, together with what is due then', () => {
  assert.deepEqual(list('0 30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 3), [
    '2026-03-28T01:30:00Z',
    '2026-03-29T01:00:00Z lost',
    '2026-03-30T00:30:00Z',
  ])
  assert.deepEqual(list('0 0,30 2,3 * * *', 'Europe/Berlin', '2026-03-29T00:00:00Z', 2), [
    '2026-03-29T01:00:00Z and 2 lost',
    '2026-03-29T01:30:00Z',
  ])
  // Half an hour only.
  assert.deepEqual(list('0 15,45 2 * * *', 'Australia/Lord_Howe', '2026-10-03T12:00:00Z', 2), [
    '2026-10-03T15:30:00Z lost',
    '2026-10-03T15:45:00Z',
  ])
})

test('a fixed time that comes twice is due the first time; a schedule of every hour is due both times', () => {
  assert.deepEqual(list('0 30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2), [
    '2026-10-25T00:30:00Z',
    '2026-10-26T01:30:00Z',
  ])
  const half = ['00:30', '01:00', '01:30', '02:00', '02:30'].map((at) => `2026-10-25T${at}:00Z`)
  for (const hours of ['*', '0-23']) {
    assert.deepEqual(list(`0 0,30 ${hours} * * *`, 'Europe/Berlin', '2026-10-25T00:00:00Z', 5), half)
  }
  assert.deepEqual(list('0 0 */2 * * *', 'Europe/Berlin', '2026-10-24T23:00:00Z', 2), [
    '2026-10-25T00:00:00Z',
    '2026-10-25T03:00:00Z',
  ])
  // Looked at from within the second pass.
  assert.deepEqual(list('0 30 2 * * *', 'Europe/Berlin', '2026-10-25T01:10:00Z', 1), ['2026-10-26T01:30:00Z'])
})

test('rare days are found at once, and what never comes is not', () => {
  const begun = performance.now()
  assert.deepEqual(list('0 0 0 29 2 *', 'UTC', '2096-03-01T00:00:00Z', 1), ['2104-02-29T00:00:00Z'])
  assert.deepEqual(list('0 0 0 29 2 mon', 'UTC', '2026-01-01T00:00:00Z', 1), ['2044-02-29T00:00:00Z'])
  assert.deepEqual(list('0 0 0 31W 2 *', 'UTC', '2026-01-01T00:00:00Z', 1), [])
  assert.deepEqual(list('0 0 0 31 * fri', 'UTC', '2026-11-01T00:00:00Z', 1), ['2027-12-31T00:00:00Z'])
  assert.ok(performance.now() - begun < 1_000)
})

test('outside clock changes it is due when node-cron says', () => {
  for (const schedule of [
    '0 0 2 L * *',
    '0 0 2 L-3 * *',
    '0 0 2 LW * *',
    '0 0 2 15W * *',
    '5 0 2 * * 5L',
    '0 7 2 * * 1#2',
    '*/7 */13 22-2 * * fri-sun',
    '0 0 12 1,15,31 */2 mon-wed',
    '30 59 23 * 2,11 *',
  ]) {
    const task = createTask(schedule, () => undefined, { timezone: 'UTC' })
    const theirs = task.getNextRuns(12).map((date) => date.getTime())
    void task.destroy()
    const ours = times(schedule)
    let at = theirs[0]! - 1
    for (const their of theirs) {
      at = ours.next(at)?.at ?? NaN
      assert.equal(at, their, schedule)
    }
  }
})

test('count and newest agree with going from one to the next, over every clock change', () => {
  const cases: [string, string, string][] = [
    ['0 */7 * * * *', 'Europe/Berlin', '2026-10-24T20:00:00Z'],
    ['0 */7 * * * *', 'Europe/Berlin', '2026-03-28T20:00:00Z'],
    ['0 */7 1-3 * * *', 'Europe/Berlin', '2026-10-24T20:00:00Z'],
    ['0 */7 1-3 * * *', 'Europe/Berlin', '2026-03-28T20:00:00Z'],
    ['0 10,50 * * * sun', 'Australia/Lord_Howe', '2026-10-03T09:00:00Z'],
    ['0 10,50 1,2 * * *', 'Australia/Lord_Howe', '2026-04-04T09:00:00Z'],
    ['0 0 3 L * *', 'Pacific/Chatham', '2026-01-01T00:00:00Z'],
  ]
  for (const [schedule, zone, start] of cases) {
    const due = times(schedule, zone)
    const from = Date.parse(start)
    let n = 0
    let last: number | undefined
    let at = from
    for (let step = 0; step < 300; step++) {
      const until = at + 1 + step * 97_000
      for (let next = due.next(at); next && next.at <= until; next = due.next(at)) {
        n += (next.exists ? 1 : 0) + (next.lost?.count ?? 0)
        last = at = next.at
      }
      at = until
      assert.equal(due.count(from, until), n, `${schedule} ${zone} up to ${new Date(until).toISOString()}`)
      assert.equal(due.newest(from, until)?.at, last)
    }
  }
})

test('a year of every second is counted without going through it', () => {
  const begun = performance.now()
  assert.equal(times('* * * * * *', 'Europe/Berlin').count(0, 365 * DAY), 365 * 86_400)
  assert.ok(performance.now() - begun < 2_000)
})

test('the instants that show a wall time are one, two, or that of the jump', () => {
  const zone = openZone('America/New_York')
  const at = (wall: string): string[] => {
    const { first, last, jump } = instantsOf(zone, Date.parse(`${wall}Z`))
    return [first, last].map((i) => new Date(i).toISOString().slice(11, 16)).concat(jump ? 'jump' : [])
  }
  assert.deepEqual(at('2026-07-01T12:00:00'), ['16:00', '16:00'])
  assert.deepEqual(at('2026-11-01T01:30:00'), ['05:30', '06:30'])
  assert.deepEqual(at('2026-11-01T02:00:00'), ['07:00', '07:00'])
  assert.deepEqual(at('2026-03-08T02:30:00'), ['07:00', '07:00', 'jump'])
  assert.deepEqual(at('2026-03-08T03:00:00'), ['07:00', '07:00'])
})

test('a zone that left out a whole day has its change', () => {
  const change = openZone('Pacific/Apia').nextChange(Date.UTC(2011, 11, 20), Date.UTC(2012, 0, 10))
  assert.deepEqual(change, { at: Date.UTC(2011, 11, 30, 10), before: -10 * 3_600_000, after: 14 * 3_600_000 })
})
