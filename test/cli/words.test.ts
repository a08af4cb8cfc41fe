/** S12: what commands say, as a careful person would write it. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Context } from '../../src/cli/context.ts'
import { report } from '../../src/cli/report.ts'
import { daemonLines } from '../../src/cli/controls/status-lines.ts'
import { validate } from '../../src/cli/validate.ts'
import { counted } from '../../src/core/counted.ts'
import type { Report } from '../../src/core/report.ts'
import { fakeDatabase } from '../fakes/config-target.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function contextOf(): { context: Context; said: () => string } {
  let text = ''
  const context: Context = {
    targets: () => Promise.resolve([fakeDatabase()]),
    ...{ main: '', version: '', env: {}, tty: false },
    out: (more) => void (text += more),
    err: (more) => void (text += more),
  }
  return { context, said: () => text }
}

test('one is one, and two are two', () => {
  assert.deepEqual(
    [counted(1, 'step'), counted(0, 'step'), counted(2, 'entry', 'entries')],
    ['1 step', '0 steps', '2 entries'],
  )
})

test('report takes the name of an experiment and shows its newest run, and the list says that its times are UTC', async (t) => {
  const stateDir = folderOf(t)
  mkdirSync(join(stateDir, 'history'))
  const runs: [string, string][] = [
    ['261122t055850aaaa', 'nightly'],
    ['261123t055850bbbb', 'nightly'],
    ['261124t055850cccc', 'other'],
  ]
  for (const [run, experiment] of runs) {
    const written: Report = {
      ...{ run, experiment, target: 'database', endpoint: 'e', seed: 's', outcome: 'completed', recovered: false },
      ...{ started_at: '2026-11-22T05:58:50.000Z', finished_at: '2026-11-22T05:59:50.000Z', soak_ms: 1_000 },
      ...{ residue: [], steps: [], notes: [], exit_code: 0 },
    }
    writeFileSync(join(stateDir, 'history', `${run}.json`), JSON.stringify(written))
  }
  const { context, said } = contextOf()
  assert.equal(await report(context, 'nightly', { stateDir }), 0)
  assert.match(said(), /^run +261123t055850bbbb\n/)
  assert.equal(await report(context, undefined, { stateDir, list: true }), 0)
  assert.match(said(), /RUN +STARTED \(UTC\) +OUTCOME/)
  await assert.rejects(report(context, 'nobody', { stateDir }), /no report of run or experiment nobody/)
})

test('validate marks an experiment that is not enabled', async (t) => {
  const file = join(folderOf(t), 'x.yaml')
  const entry = (name: string, more: string): string =>
    `  - {name: ${name}, target: database, target_config: {connection_url: "postgres://h/d"}, skills: [{skill_name: db.update_load}]${more}}\n`
  writeFileSync(file, `experiments:\n${entry('on', ', schedule: "0 0 2 * * *"')}${entry('off', ', enabled: false')}`)
  const { context, said } = contextOf()
  assert.equal(await validate(context, file, {}), 0)
  assert.match(said(), /^ {2}on .*0 0 2 \* \* \* UTC$/m)
  assert.match(said(), /^ {2}off .*enabled: false/m)
  assert.doesNotMatch(said().split('\n')[1] ?? '', /enabled: false/)
})

test('within a freeze that only an operator ends, no next due time is promised', () => {
  const lines = daemonLines({
    ...{ pid: 1, version: '', state_dir: '', started_at: '', ready: true },
    config: { file: 'f', loaded_at: '' },
    frozen: { since: '2026-01-01T00:00:00Z', reason: 'sale' },
    ...{ running: [], queued: [], blocked: [], untrusted: [] },
    experiments: [{ experiment: 'e', endpoint: 'x', schedule: '* * * * * *', timezone: 'UTC' }],
    notify: { delivered: 0, failed: 0, dropped: 0, waiting: 0 },
  })
  assert.match(lines.at(-1) ?? '', /^e +frozen +/)
})
