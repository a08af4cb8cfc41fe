import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePeriod } from '../../src/config/periods.ts'
import { calendar, longestOpen } from '../../src/schedule/calendar.ts'
import type { Period } from '../../src/core/periods.ts'
import type { Calendar } from '../../src/schedule/calendar.ts'
import { openZone } from '../../src/schedule/zone.ts'

const HOUR = 3_600_000

function period(text: string): Period {
  const found = parsePeriod(text)
  if (typeof found === 'string') throw new Error(found)
  return found
}

function dates(rules: { windows?: string[][]; blackouts?: string[] }, zone = 'UTC'): Calendar {
  const windows = (rules.windows ?? []).map((layer) => layer.map(period))
  const made = calendar({ windows, blackouts: (rules.blackouts ?? []).map(period) }, openZone(zone))
  assert.ok(made)
  return made
}

const cause = (made: Calendar, at: string) => made.at(Date.parse(at)).closed?.cause

test('a window over midnight belongs to the day it begins on', () => {
  const made = dates({ windows: [['Mon-Fri 22:00-06:00']] })
  // 2026-01-09 is a Friday.
  const seen = [
    '2026-01-09T21:59:59Z',
    '2026-01-09T22:00:00Z',
    '2026-01-10T05:59:59Z',
    '2026-01-10T06:00:00Z',
    '2026-01-10T23:00:00Z',
    '2026-01-12T05:00:00Z',
  ]
  assert.deepEqual(
    seen.map((at) => cause(made, at)),
    ['window', undefined, undefined, 'window', 'window', 'window'],
  )
})

test('every list of windows must allow, and a blackout wins', () => {
  const made = dates({
    windows: [['Sat,Sun'], ['10:00-14:00', '20:00-24:00']],
    blackouts: ['2026-01-11', 'Sat 13:00-24:00'],
  })
  assert.equal(cause(made, '2026-01-10T12:00:00Z'), undefined)
  assert.equal(cause(made, '2026-01-10T15:00:00Z'), 'blackout')
  assert.equal(cause(made, '2026-01-10T09:00:00Z'), 'window')
  assert.equal(cause(made, '2026-01-11T12:00:00Z'), 'blackout')
  assert.equal(cause(made, '2026-01-18T23:59:59Z'), undefined)
  assert.equal(cause(made, '2026-01-19T12:00:00Z'), 'window')
  assert.equal(calendar({ windows: [[]], blackouts: [] }, openZone('UTC')), undefined)
})

test('a state holds until the time it names, and not longer', () => {
  const made = dates(
    { windows: [['Mon-Fri 22:00-06:00', '23:00-23:30']], blackouts: ['2026-03-01..2026-03-28'] },
    'Europe/Berlin',
  )
  let at = Date.UTC(2026, 1, 20, 3, 17)
  for (let i = 0; i < 200; i++) {
    const { closed, until } = made.at(at)
    assert.ok(until !== undefined && until > at)
    // Asked anew, and from behind, so that nothing remembered is used.
    const fresh = dates(
      { windows: [['Mon-Fri 22:00-06:00', '23:00-23:30']], blackouts: ['2026-03-01..2026-03-28'] },
      'Europe/Berlin',
    )
    for (const between of [until - 1, Math.floor((at + until) / 2), at]) {
      assert.equal(fresh.at(between).closed?.cause, closed?.cause, new Date(between).toISOString())
    }
    at = until
  }
})

test('a window over the hour that comes twice lasts longer, one in the hour that is jumped over does not come', () => {
  const night = dates({ windows: [['01:00-05:00']] }, 'Europe/Berlin')
  const lasts = (day: string) =>
    longestOpen(night, Date.parse(`${day}T20:00:00Z`), Date.parse(`${day}T20:00:00Z`) + 12 * HOUR) / HOUR
  assert.deepEqual([lasts('2026-06-01'), lasts('2026-10-24'), lasts('2026-03-28')], [4, 5, 3])
  const short = dates({ windows: [['02:10-02:50']] }, 'Europe/Berlin')
  assert.equal(cause(short, '2026-03-29T00:59:59Z'), 'window')
  assert.equal(cause(short, '2026-03-29T01:00:00Z'), 'window')
  // First 02:10 to last 02:50.
  assert.equal(cause(short, '2026-10-25T00:10:00Z'), undefined)
  assert.equal(cause(short, '2026-10-25T01:05:00Z'), undefined)
  assert.equal(cause(short, '2026-10-25T01:50:00Z'), 'window')
})

test('periods are read in all the ways that people write them, or refused with what to write', () => {
  const good: [string, number[] | undefined, number, number][] = [
    ['Mon-Fri 22:00-06:00', [1, 2, 3, 4, 5], 22 * 60, 30 * 60],
    ['fri-mon 9:00 - 17:30', [0, 1, 5, 6], 9 * 60, 17 * 60 + 30],
    ['Saturday, Sun', [0, 6], 0, 1440],
    ['22:00-06:00', [0, 1, 2, 3, 4, 5, 6], 22 * 60, 30 * 60],
    ['Fri 16:00–24:00', [5], 16 * 60, 1440],
    ['2026-12-24', undefined, Date.UTC(2026, 11, 24), Date.UTC(2026, 11, 25)],
    ['2026-12-24 .. 2027-01-02', undefined, Date.UTC(2026, 11, 24), Date.UTC(2027, 0, 3)],
  ]
  for (const [text, days, from, to] of good) {
    const read = period(text)
    assert.deepEqual([read.days, read.from, read.to], [days, from, to], text)
  }
  const bad: [string, RegExp][] = [
    ['', /must be like/],
    ['always', /"always" for a day/],
    ['Mon-Fri-Sun 10:00-11:00', /for a day of the week/],
    ['10:00-10:00', /ends when it begins/],
    ['24:00-25:00', /no clock shows/],
    ['10:60-11:00', /no clock shows/],
    ['Mon 10-11', /write "Mon 10:00-11:00"/],
    ['24.12.2026', /write "2026-12-24"/],
    ['2026-13-01', /does not exist/],
    ['2026-12-24 22:00-23:00', /must be like/],
  ]
  for (const [text, message] of bad) {
    const problem = parsePeriod(text)
    assert.match(typeof problem === 'string' ? problem : 'it is read', message, text)
  }
})
