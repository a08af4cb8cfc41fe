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

test('windows, jitter and a schedule that do not go together are warned of', async () => {
  const nightly = '0 0 2 * * *'
  assert.match(await warningsOf(nightly, 'windows: ["12:00-14:00"]'), /schedule: never falls into its windows/)
  assert.equal(await warningsOf(nightly, 'windows: ["Mon-Fri 22:00-06:00"]'), '')
  const short = await warningsOf(nightly, 'windows: ["02:00-02:30"]\nduration: 1h')
  assert.match(
    short,
    /^x\.yaml:7:\d+: .*windows: are open for 30m at the longest, but .* 1h: every run will be cut short/,
  )
  assert.match(await warningsOf('0 */10 * * * *', 'jitter: 15m'), /15m of jitter is not less than the 10m/)
  assert.equal(await warningsOf('0 */10 * * * *', 'jitter: 5m'), '')
  const berlin = 'timezone: Europe/Berlin\non_missed: run_once'
  assert.match(await warningsOf('0 30 2 * * *', berlin), /what is due in it runs directly after.*runs the first time/)
})

test('windows of the settings and of the entry both hold, blackouts add up, and other timing is overridden', async () => {
  const text = `settings:
  windows: ["Mon-Fri 20:00-06:00"]
  blackouts: ["2026-12-24..2027-01-02"]
  jitter: 5m
  on_missed: run_once
${one({ more: 'windows: ["01:00-05:00", "Sat,Sun"]\nblackouts: [{from: "2026-11-27 18:00", to: "2026-11-30", reason: sale}]\nmissed_grace: 2h\njitter: 1m' })}`
  const [entry] = (await load(text)).experiments
  assert.ok(entry)
  assert.deepEqual(
    entry.windows.map((layer) => layer.map((period) => period.text)),
    [['Mon-Fri 20:00-06:00'], ['01:00-05:00', 'Sat,Sun']],
  )
  assert.deepEqual(
    entry.blackouts.map(({ text, reason }) => [text, reason]),
    [
      ['2026-12-24..2027-01-02', undefined],
      ['2026-11-27 18:00 to 2026-12-01 00:00', 'sale'],
    ],
  )
  assert.deepEqual([entry.jitter_ms, entry.on_missed, entry.missed_grace_ms], [60_000, 'run_once', 7_200_000])
})
