import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as cron from 'node-cron'
import { clockChanges } from '../../src/config/clock-changes.ts'
import { timezone } from '../../src/config/time-zones.ts'
import { cron as timesOf } from '../../src/schedule/cron.ts'
import { openZone } from '../../src/schedule/zone.ts'
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
    ['0 0 2 * * * 2027', /has a year as its seventh field.*write "0 0 2 \* \* \*"/],
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

test('a time that the clocks skip or repeat is warned of, in that zone only', async () => {
  assert.match(await warningsOf('0 30 2 * * *', 'timezone: Europe/Berlin'), /02:30 on .* is skipped.*timezone: UTC/)
  assert.match(await warningsOf('0 30 1 * * *', 'timezone: America/New_York'), /01:30 on .* comes twice/)
  assert.equal(await warningsOf('0 30 2 * * *', 'timezone: Asia/Tokyo'), '')
  assert.equal(await warningsOf('0 30 2 * * *'), '')
  assert.equal(await warningsOf('0 30 12 * * *', 'timezone: Europe/Berlin'), '')
  assert.equal(await warningsOf('0 0 * * * *', 'timezone: Europe/Berlin'), '')
})

test('S10: half an hour that is skipped, and days on which no clock is set, are judged as the daemon judges', async () => {
  // Lord Howe's clocks go from 02:00 to 02:30: half past two exists.
  const howe = 'timezone: Australia/Lord_Howe'
  assert.doesNotMatch(await warningsOf('0 30 2 * * *', howe), /skipped/)
  assert.match(await warningsOf('0 15 2 * * *', howe), /02:15 on .* is skipped/)
  assert.match(await warningsOf('0 45 1 * * *', howe), /01:45 on .* comes twice/)
  assert.doesNotMatch(await warningsOf('0 15 1 * * *', howe), /comes twice/)
  // Clocks are set on Sundays there.
  assert.equal(await warningsOf('0 30 2 * * mon', 'timezone: Europe/Berlin'), '')
})

test('S10: a schedule is a set of times, however often it names one', async () => {
  assert.equal(await warningsOf('0 0 2,2,2 * * *'), '')
  assert.equal(await warningsOf('0 0 2-4,3-5 * * *', 'duration: 59m'), '')
  assert.equal(await warningsOf('0 */10 0-12,12-23 * * *', 'timezone: Europe/Berlin'), '')
  const [day, zone] = [86_400_000, openZone('Europe/Berlin')]
  const twice = timesOf(cron.parse('0 */10 0-12,12-23 * * *'), zone)
  assert.equal(twice.count(0, 365 * day), 365 * 144)
  assert.equal(timesOf(cron.parse('0,0 0 2,2,2 1,1 * *'), zone).count(0, 365 * day), 12)
  // It has all 24 hours, so in the autumn night it goes on through the second pass.
  assert.equal(twice.count(Date.parse('2026-10-25T00:00Z'), Date.parse('2026-10-25T02:00Z')), 12)
})

test('S10: due times at their closest are found over minutes, hours and days', async () => {
  assert.match(await warningsOf('0 0,50 1,2 * * *', 'duration: 10m'), /is due every 10m/)
  assert.match(await warningsOf('0 0 0,23 * * *', 'duration: 1h'), /is due every 1h/)
  assert.equal(await warningsOf('0 0 0,23 * * mon', 'duration: 2h'), '')
})

test('S10: what never comes is an error, and what comes once in forty years is none', () => {
  for (const never of ['0 0 2 31W 2,4 *', '0 0 2 L-30 2 *', '0 0 2 30 2 *', '0 0 2 1-7 * 1#2', '0 0 2 31 4 mon']) {
    assert.match(scheduleProblem(never, cron) ?? 'valid', /^never happens: /, never)
  }
  for (const rare of ['0 0 2 29 2 mon', '0 0 2 31W * *', '0 0 2 L-30 * *', '0 0 2 * 2 1#5']) {
    assert.equal(scheduleProblem(rare, cron), undefined, rare)
    assert.notEqual(timesOf(cron.parse(rare), openZone('UTC')).next(Date.UTC(2072, 2, 1)), undefined, rare)
  }
})

test('S11: schedules of other programs are refused with the same in six fields', () => {
  const cases: [string, string][] = [
    ['0 0/6 * * * *', 'write "*/6"'],
    ['0 5/15 * * * *', 'write "5-59/15"'],
    ['0 0 2 1/5 * *', 'write "*/5"'],
    ['0 0 2 3/5 * ?', 'write "3-31/5"'],
    ['0 0 2 ? * 1/2', 'write "1-6/2"'],
    ['@every 30s', 'write "*/30 * * * * *"'],
    ['@every 5m', 'write "0 */5 * * * *"'],
    ['@every 1h', 'write "0 0 * * * *"'],
    ['@every 1m', 'write "0 * * * * *"'],
    ['@every 24h', 'write "0 0 0 * * *"'],
    ['@every 1h30m', 'times that divide a minute'],
    ['@reboot', 'none of them is the start of the machine'],
    ['0 0 2 * * ? *', 'write "0 0 2 * * ?"'],
    ['0 0 2 1 1 ? 2027', 'enabled: false for the other years'],
    ['0 0 2 1 1 ? 2027-2029', 'has a year as its seventh field'],
    ['CRON_TZ=Europe/Berlin 0 2 * * *', 'write timezone: Europe/Berlin beside it, and schedule: "0 0 2 * * *"'],
    ['TZ=UTC 0 0 2 * * *', 'write timezone: UTC beside it, and schedule: "0 0 2 * * *"'],
    ['H H * * *', 'has 5 fields'],
    ['0 H 2 * * *', 'jitter: 10m spreads the runs at random'],
    ['0 H/15 * * * *', 'jitter: 10m'],
    ['0 H(0-30) 2 * * *', 'jitter: 10m'],
    ['0 0~59 2 * * *', 'jitter: 10m'],
  ]
  for (const [schedule, words] of cases) {
    const problem = scheduleProblem(schedule, cron) ?? 'valid'
    assert.ok(problem.includes(words), `${schedule}: ${problem}`)
  }
})

test('S11: an offset or a summer time gets the name of a zone to write instead', () => {
  const cases: [string, RegExp][] = [
    ['UTC+2', /write a place, such as "[A-Z]\w+\/\w+", or "Etc\/GMT-2" \(its sign is the other way round\)/],
    ['GMT-3', /"Etc\/GMT\+3"/],
    ['+02', /"Etc\/GMT-2"/],
    ['utc+02:00', /"Etc\/GMT-2"/],
    ['+05:30', /write a place, such as "Asia\/\w+"/],
    ['+0545', /write a place, such as "Asia\/Kat(h)?mandu"/],
    ['UTC+0', /write "UTC"/],
    ['CEST', /write the place, such as "Europe\/Berlin"/],
    ['pdt', /"America\/Los_Angeles"/],
    ['Europe\/Berln', /did you mean "Europe\/Berlin"/],
    ['+25:00', /must be a time zone such as/],
  ]
  for (const [name, message] of cases) {
    assert.equal(timezone.read(name), undefined, name)
    assert.match(timezone.explain({ value: name, text: `"${name}"`, kind: 'text' }), message, name)
  }
})

test('S11: a name that means another time than it seems is warned of with what it means', async () => {
  const said = (zone: string) => warningsOf('0 0 12 * * *', `timezone: ${zone}`)
  assert.match(await said('Etc/GMT+5'), /timezone: Etc\/GMT\+5 is UTC-05:00 all year: its sign.*write Etc\/GMT-5/)
  assert.match(await said('EST'), /EST means .*UTC-05:00 all year; write the place/)
  assert.match(await said('CET'), /CET means .*UTC\+01:00 in January and UTC\+02:00 in July/)
  for (const plain of ['UTC', 'GMT', 'Etc/UTC', 'Europe/Berlin']) assert.equal(await said(plain), '', plain)
})

test('S6: an end at :59 leaves a minute out, and is warned of with what to write', async () => {
  const said = await warningsOf('27 59 * * * *', 'blackouts: ["00:00-13:59", "16:00-23:59"]\nduration: 5s')
  assert.match(said, /^x\.yaml:7:\d+: experiments\[0\]\.blackouts\[0\]: ends at 13:59.*write "00:00-14:00"/m)
  assert.match(said, /write "16:00-24:00"/)
  assert.match(await warningsOf('0 0 2 * * *', 'windows: ["Mon-Fri 22:00-05:59"]'), /write "Mon-Fri 22:00-06:00"/)
  const once = 'blackouts: [{from: "2026-11-27 18:00", to: "2026-11-30 23:59"}]'
  assert.match(await warningsOf('0 0 2 * * *', once), /blackouts\[0\]\.to: .*write "2026-11-30 24:00"/)
  const whole = 'blackouts: ["00:00-14:00", "16:00-24:00", "2026-12-24..2027-01-02"]'
  assert.equal(await warningsOf('0 30 15 * * *', whole), '')
})

test('the changes of a zone within a year are found, on both halves of the earth', () => {
  const from = Date.UTC(2026, 0, 1)
  const days = (name: string) =>
    clockChanges(openZone(name), from).map(({ at, before, after }) => [
      new Date(at).toISOString().slice(0, 10),
      (after - before) / 60_000,
    ])
  assert.deepEqual(days('Europe/Berlin'), [
    ['2026-03-29', 60],
    ['2026-10-25', -60],
  ])
  assert.deepEqual(days('Australia/Lord_Howe'), [
    ['2026-04-04', -30],
    ['2026-10-03', 30],
  ])
  assert.deepEqual(days('UTC'), [])
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
  assert.match(await warningsOf('0 30 2 * * *', berlin), /is skipped, and runs directly after.*is due the first time/)
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
