import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration } from '../../src/core/duration.ts'

test('durations are numbers with units, alone or one after the other', () => {
  const cases: Record<string, number> = {
    '300ms': 300,
    '90s': 90_000,
    '5m': 300_000,
    '1h30m': 5_400_000,
    '1h 30m': 5_400_000,
    ' 2d ': 172_800_000,
    '1.5s': 1_500,
    '0s': 0,
    '1m500ms': 60_500,
  }
  for (const [text, ms] of Object.entries(cases)) assert.equal(parseDuration(text), ms, text)
})

test('what is not a duration is undefined', () => {
  for (const text of ['', ' ', '5', '5 minutes', 'm', '-5s', '5s!', '!5s', '1e3s', '5S', 's5', '1,5s', '5s-']) {
    assert.equal(parseDuration(text), undefined, JSON.stringify(text))
  }
})

test('a duration too large for a number is undefined and not infinite', () => {
  assert.equal(parseDuration(`${'9'.repeat(400)}d`), undefined)
})

test('durations are written with their two largest units', () => {
  const cases: [number, string][] = [
    [0, '0ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [2_500, '2.5s'],
    [59_949, '59.9s'],
    [59_950, '1m'],
    [999.7, '1s'],
    [60_000, '1m'],
    [90_000, '1m 30s'],
    [5_400_000, '1h 30m'],
    [90_061_000, '1d 1h'],
    [3_605_000, '1h 5s'],
  ]
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text)
})

test('whole durations of at most two units read back as they were', () => {
  fc.assert(
    fc.property(fc.nat(59), fc.nat(59), (minutes, seconds) => {
      const ms = minutes * 60_000 + seconds * 1_000
      assert.equal(parseDuration(formatDuration(ms)), ms)
    }),
  )
})
