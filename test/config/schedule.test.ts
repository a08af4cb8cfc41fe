import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as cron from 'node-cron'
import { clockChanges } from '../../src/config/clock-changes.ts'
import { scheduleProblem } from '../../src/config/schedule.ts'
import { load, one } from './helpers.ts'

const warningsOf = async (schedule: string, more = '') =>
  (await load(one({ more: `schedule: "${schedule}"\n${more}` }))).warnings.join('\n')

test('six fields are accepted in all the ways that node-cron reads', () => {
  for (const good of [
    '0 0 2 * * *',
    '*/10 * * * * *',
    '0 30 9-17 * * mon-fri',
    '0 0 0 1,15 jan *',
    '0 0 2 L * *',
    '0 0 2 * * ?',
  ]) {
    assert.equal(scheduleProblem(good, cron), undefined, good)
  }
})

test('each thing wrong with a schedule is said with what to write', () => {
  const cases: [string, RegExp][] = [
    ['', /must not be empty: write e\.g\. "0 0 2 \* \* \*"/],
    ['0 2 * * *', /has 5 fields.*write "0 0 2 \* \* \*"/],
    ['*/5 * * * *', /write "0 \*\/5 \* \* \* \*"/],
    ['0 0 2 * * * 2027', /has 7 fields instead of 6/],
    ['2', /has 1 field instead/],
    ['@hourly', /write "0 0 \* \* \* \*"/],
    ['@reboot', /6 fields/],
    ['60 * * * * *', /second "60" is not valid: write 0–59/],
    ['0 0 24 * * *', /hour "24"/],
    ['0 0 0 32 * *', /day of month "32"/],
    ['0 0 0 * 13 *', /month "13"/],
    ['0 0 0 * * 8', /day of week "8" .*Sunday/],
    ['0 0 0 31 2,4 *', /never happens: month "2,4" has no day "31"/],
    ['*/0 * * * * *', /the step after "\/" must be 1 to 59/],
    ['*/90 * * * * *', /the step after "\/" must be 1 to 59/],
    ['0-999999999 * * * * *', /second "0-999999999" is not valid/],
    ['0 0 $ * * *', /characters that no schedule has/],
    ['a b c d e f', /second "a" is not valid/],
  ]
  for (const [schedule, message] of cases) assert.match(scheduleProblem(schedule, cron) ?? 'valid', message, schedule)
})

test('a schedule restricted by day of month and by day of week is warned of', async () => {
  assert.match(await warningsOf('0 0 2 1 * mon'), /^x\.yaml:6:15: experiments\[0\]\.schedule: .*both/)
  assert.equal(await warningsOf('0 0 2 1 * *'), '')
  assert.equal(await warningsOf('0 0 2 * * mon'), '')
})

test('a schedule that comes again before the run is over is warned of', async () => {
  assert.match(
    await warningsOf('*/10 * * * * *'),
    /due every 10s, but one run holds its fault for 5m.*slots will be skipped/,
  )
  assert.match(await warningsOf('0 */5 * * * *'), /due every 5m/)
  assert.match(await warningsOf('0 0,59 * * * *'), /due every 1m/)
  assert.equal(await warningsOf('0 */10 * * * *'), '')
  assert.equal(await warningsOf('*/10 * * * * *', 'duration: 5s'), '')
  assert.equal(await warningsOf('*/10 * * * * *', 'enabled: false'), '')
  assert.match(await warningsOf('0 0 */2 * * *', 'duration: 3h'), /due every 2h/)
})

test('an hour that the clocks skip or repeat is warned of, in that zone only', async () => {
  assert.match(await warningsOf('0 30 2 * * *', 'timezone: Europe/Berlin'), /02:00 is skipped in spring.*timezone: UTC/)
  assert.match(await warningsOf('0 30 1 * * *', 'timezone: America/New_York'), /01:00 comes twice/)
  assert.equal(await warningsOf('0 30 2 * * *', 'timezone: Asia/Tokyo'), '')
  assert.equal(await warningsOf('0 30 2 * * *'), '')
  assert.equal(await warningsOf('0 30 12 * * *', 'timezone: Europe/Berlin'), '')
  assert.equal(await warningsOf('0 0 * * * *', 'timezone: Europe/Berlin'), '')
})

test('the hours a zone skips and repeats are found, on both halves of the earth', () => {
  assert.deepEqual(clockChanges('Europe/Berlin', 2026), { skipped: [2], repeated: [2] })
  assert.deepEqual(clockChanges('America/New_York', 2026), { skipped: [2], repeated: [1] })
  assert.deepEqual(clockChanges('Australia/Sydney', 2026), { skipped: [2], repeated: [2] })
  assert.deepEqual(clockChanges('Europe/London', 2026), { skipped: [1], repeated: [1] })
  assert.deepEqual(clockChanges('Asia/Kolkata', 2026), { skipped: [], repeated: [] })
  assert.deepEqual(clockChanges('UTC', 2026), { skipped: [], repeated: [] })
})
