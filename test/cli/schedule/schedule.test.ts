import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { formatCalendar } from '../../../src/cli/schedule/ics.ts'
import { schedule } from '../../../src/cli/schedule/schedule.ts'
import type { ScheduleCommandOptions } from '../../../src/cli/schedule/schedule.ts'
import { ConfigError } from '../../../src/core/errors.ts'
import { fakeDatabase } from '../../fakes/config-target.ts'
import { VirtualClock } from '../../fakes/virtual-clock.ts'

/** A Friday. */
const NOW = Date.UTC(2026, 2, 27, 12)

function experiment(name: string, more: string): string {
  return `  - name: ${name}
    target: database
    target_config: {connection_url: "postgres://chaos:hunter2@localhost/shop"}
    skills: [{skill_name: db.insert_load, params: {tables: [orders, items]}, count: 2}]
${more
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
`
}

const FILE = `settings: {timezone: Europe/Berlin, max_concurrent: 2}
experiments:
${experiment('gap', 'schedule: "0 30 2 * * *"')}
${experiment('night', 'schedule: "0 0 1 * * *"\nwindows: ["Sat 00:00-06:00"]\nduration: 1h\njitter: 15m')}
${experiment('other', 'schedule: "0 30 1 28 * *"\nduration: 1h\nblackouts: [{from: "2026-04-01", to: "2026-04-30", reason: "sale; big, loud"}]')}
${experiment('third', 'schedule: "0 45 1 28 * *"\nduration: 10m\non_busy: skip')}
${experiment('every', 'schedule: "* * * * * *"\nwindows: ["Sat 03:00-04:00"]\nduration: 500ms')}
${experiment('rare', 'schedule: "0 0 4 1 5 *"')}
${experiment('off', 'enabled: false\nschedule: "0 0 0 * * *"')}
`

async function told(t: TestContext, options: ScheduleCommandOptions): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'x.yaml')
  writeFileSync(file, FILE)
  let text = ''
  const connected: unknown[] = []
  const context = {
    targets: () => Promise.resolve([fakeDatabase(connected)]),
    main: '',
    version: '',
    env: {},
    out: (more: string) => void (text += more),
    err: () => undefined,
    tty: false,
  }
  assert.equal(await schedule(context, file, options, new VirtualClock(NOW, 0)), 0)
  assert.deepEqual(connected, [])
  assert.ok(!text.includes('hunter2'))
  return text
}

test('schedule lists every run with zone and window, and what will not run with the reason', async (t) => {
  const lines = (await told(t, { days: '3' })).split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))
  const expect = (line: string): void => assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join('\n')}`)
  expect(
    'Sat 2026-03-28 01:00:00 Europe/Berlin | night | soak 1h, begins up to 15m later, in Sat 00:00-06:00, overlaps other, third',
  )
  expect('Sun 2026-03-29 01:00:00 Europe/Berlin | night | not run (window): outside Sat 00:00-06:00 (Europe/Berlin)')
  expect(
    'Sun 2026-03-29 02:30:00 Europe/Berlin | gap | not run (no_such_time): the clocks of Europe/Berlin are set forward over it',
  )
  expect(
    'Sat 2026-03-28 01:45:00 Europe/Berlin | third | soak 10m, overlaps night, other, beyond max_concurrent: it is skipped',
  )
  expect('every: 259200 due times, too many to list: above are 20 of them')
  assert.ok(
    lines.some((line) =>
      /^gap \| at most 100,000 rows and 50 resources.* for 5m: db\.insert_load ×2 \(tables orders, items\)$/.test(
        line.trim().replace(/^\| /, ''),
      ),
    ),
  )
  assert.ok(!lines.some((line) => line.includes('| off |')))
})

test('S12: what is not due in the days to come is told with its next time, and a day is not days', async (t) => {
  const text = await told(t, { days: '1' })
  assert.match(text, /rare: not due in the next day, next on Fri 2026-05-01 04:00:00 Europe\/Berlin\n/)
  assert.match(await told(t, { days: '2' }), /rare: not due in the next 2 days, next on/)
  assert.doesNotMatch(text, /\b1 days|\b1 experiments/)
})

test('schedule --json says the same for machines', async (t) => {
  const document = JSON.parse(await told(t, { days: '40', json: true })) as {
    experiments: { name: string; due: number; not_listed: number; worst_case: { rows: number } }[]
    runs: { experiment: string; slot: string; local: string; skipped?: { cause: string; reason: string } }[]
  }
  const other = document.runs.filter((run) => run.experiment === 'other')
  assert.deepEqual(
    other.map(({ slot, local, skipped }) => [slot, local, skipped?.cause]),
    [
      ['2026-03-28T00:30:00.000Z', '2026-03-28 01:30:00', undefined],
      ['2026-04-27T23:30:00.000Z', '2026-04-28 01:30:00', 'blackout'],
    ],
  )
  assert.match(other[1]?.skipped?.reason ?? '', /sale; big, loud/)
  const every = document.experiments.find(({ name }) => name === 'every')
  assert.deepEqual([every?.due, every?.not_listed, every?.worst_case.rows], [40 * 86_400, 40 * 86_400 - 20, 100_000])
})

test('schedule --ics is a calendar whose lines are folded, ended with CRLF and escaped', async (t) => {
  const text = await told(t, { days: '40', ics: true })
  assert.ok(text.startsWith('BEGIN:VCALENDAR\r\nVERSION:2.0\r\n'))
  assert.ok(text.endsWith('END:VCALENDAR\r\n'))
  const lines = text.split('\r\n')
  assert.ok(lines.every((line) => Buffer.byteLength(line) <= 75 && !/[\r\n]/.test(line)))
  const whole = text.replaceAll('\r\n ', '').split('\r\n')
  assert.ok(whole.some((line) => line.includes('sale\\; big\\, loud')))
  const uids = whole.filter((line) => line.startsWith('UID:'))
  assert.ok(uids.length > 40)
  assert.equal(new Set(uids).size, uids.length)
  assert.equal(whole.filter((line) => line === 'DTSTAMP:20260327T120000Z').length, uids.length)
  assert.ok(whole.includes('DTSTART:20260328T000000Z'))
})

test('a line is never folded within a character', () => {
  const summary = 'ä€🙂'.repeat(60)
  const event = { uid: 'u', from: 0, to: 0, summary, description: 'a\nb\\', cancelled: false }
  const text = formatCalendar([event], 0)
  for (const line of text.split('\r\n')) assert.ok(Buffer.byteLength(line) <= 75 && !line.includes('\ufffd'))
  const whole = text.replaceAll('\r\n ', '')
  assert.ok(whole.includes(`SUMMARY:${summary}\r\n`) && whole.includes('DESCRIPTION:a\\nb\\\\\r\n'))
  assert.ok(whole.includes('DTSTART:19700101T000000Z\r\nDTEND:19700101T000001Z\r\n'))
})

test('a number of days that is none, and two formats at once, are refused', async (t) => {
  for (const options of [{ days: 'ten' }, { days: '-1' }, { days: '1e9' }, { json: true, ics: true }]) {
    await assert.rejects(told(t, options), (error) => error instanceof ConfigError && error.exitCode === 2)
  }
})
