/** F9: an application that answers what it should not. One plain error names it; nothing is left that its reader refuses. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import type { Report } from '../../src/core/report.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { application } from '../../src/targets/application/index.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { drip, flood, HELLO, HostileApplication } from '../fakes/hostile-application.ts'
import type { Answer } from '../fakes/hostile-application.ts'

const LONG = 'n'.repeat(900_000)
const GARBLED: [string, Answer, RegExp][] = [
  ['a number as the name of a component', { ...HELLO, components: [{ name: 7, calls: 1 }] }, /components\.0\.name/],
  ['a name of 900 kB', { ...HELLO, components: [{ name: LONG, calls: 1 }] }, /components\.0\.name/],
  ['calls that are no number', { ...HELLO, components: [{ name: 'pay', calls: '3' }] }, /components\.0\.calls/],
  ['a text as pid', { ...HELLO, pid: 'one' }, /pid/],
  ['a pid below zero', { ...HELLO, pid: -1 }, /pid/],
  ['no instance', { ...HELLO, instance: undefined }, /instance is missing|instance: is missing/],
  ['a process that is a text', { ...HELLO, process: 'x' }, /process/],
  ['a process of numbers', { ...HELLO, process: { machine: 1, start: 2 } }, /process\.machine/],
  ['components null', { ...HELLO, components: null }, /components/],
  ['components as a text', { ...HELLO, components: 'pay' }, /components/],
  ['components [null]', { ...HELLO, components: [null] }, /components\.0/],
  ['20,000 components', { ...HELLO, components: Array.from({ length: 20_000 }, (_, i) => ({ name: `c${i}`, calls: 0 })) }, /components/], // prettier-ignore
  ['another protocol', { ...HELLO, protocol: 2 }, /protocol/],
  ['open_ended as a text', { ...HELLO, open_ended: 'yes' }, /open_ended/],
  ['an error that is an object', { error: { a: 1 } }, /shop/],
  ['a list', [], /shop/],
  ['null', null, /shop/],
  ['no JSON', '{"app":', /shop/],
  ['nothing', '', /shop/],
  ['no end: a byte every 200 ms', drip, /no answer within/],
  ['no end: as fast as it can', flood, /more than 1048576 bytes/],
  ['an app that is a number', { ...HELLO, app: 7 }, /no application of ours/],
]
const LEASES: [string, Answer, RegExp][] = [
  ['leases [null]', { leases: [null] }, /leases\.0/],
  ['no leases', {}, /leases/],
  ['leases as a text', { leases: 'none' }, /leases/],
  ['a lease without components', { leases: [{ mark: 'm', fault_types: [], in_force: true, fired: 0 }] }, /leases\.0\.components/], // prettier-ignore
  ['a lease that fired a text', { leases: [{ mark: 'm', components: [], fault_types: [], in_force: true, fired: 'x' }] }, /leases\.0\.fired/], // prettier-ignore
  ['no end: a byte every 200 ms', drip, /no answer within/],
]

describe('F9: answers of a hostile application', { timeout: 10 * 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-hostile-state-'))
  const app = new HostileApplication()
  let runs = 0
  before(() => app.start())
  beforeEach(() => (app.answers = {}))
  after(async () => {
    await app.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const targetConfig = application.config.parse(app.config)
  async function run(): Promise<{ report: Report; pending: string[]; recover(): Promise<Report> }> {
    const id = `r${++runs}`
    const state = await openStateDir(join(folder, id))
    const signal = new AbortController().signal
    const common = { target: application, ...state, run: id, clock: systemClock, signal, emit: () => undefined }
    const params = { error_code: 503, components: ['pay'], lease: '1s' }
    const report = await runExperiment({
      ...common,
      experiment: fakeExperiment([{ skill_name: 'app.error', params }], {
        ...{ target: 'application', target_config: targetConfig, duration_ms: 300 },
      }),
      ...{ seed: 's', claim: () => Promise.resolve({ waited: false }) },
    })
    const pending = readdirSync(join(state.path, 'journal'))
    return {
      report,
      pending,
      recover: () => recoverRun({ ...common, targetConfigs: [app.config], noProgressMs: 10_000 }),
    }
  }

  for (const [what, body, says] of GARBLED) {
    test(`its hello is ${what}: one plain error, and nothing of the run is left`, async () => {
      app.answers = { 'GET /v1/hello': { body } }
      const { report, pending } = await run()
      const { reason = '' } = report
      assert.match(reason, says)
      assert.match(reason, /shop/)
      assert.ok(reason.length < 1_000 && !/TypeError|Cannot read|object Object/.test(reason), reason.slice(0, 500))
      assert.deepEqual([report.residue, pending], [[], []])
    })
  }

  for (const [what, body, says] of LEASES) {
    test(`its answer to what leases there are is ${what}: one plain error before anything is granted`, async () => {
      app.answers = { 'GET /v1/leases': { body } }
      const { report, pending } = await run()
      assert.match(report.reason ?? '', says)
      assert.match(report.reason ?? '', /^shop at \/.*shop\.sock: /)
      assert.deepEqual([report.residue, pending], [[], []])
      assert.ok(!app.asked.slice(app.asked.lastIndexOf('GET /v1/leases')).includes('POST /v1/leases'))
    })
  }

  for (const [what, body, says] of [
    ['a refusal whose error is an object', { error: { code: 7 }, message: 'no' }, /error: /],
    ['a refusal of 900 kB', { error: 'held', message: LONG }, /cut/],
    ['a mark that is a number', { mark: 7 }, /mark/],
    ['no end', drip, /no answer within/],
  ] as [string, Answer, RegExp][]) {
    test(`its answer to a grant is ${what}: the step fails with its reason, and is undone`, async () => {
      app.answers = { 'POST /v1/leases': { status: 'mark' in Object(body) ? 200 : 409, body } }
      const { report, pending } = await run()
      assert.equal(report.outcome, 'failed')
      assert.match(report.reason ?? '', says)
      assert.ok((report.reason ?? '').length < 25_000 && !/object Object/.test(report.reason ?? ''))
      assert.deepEqual([report.residue, pending], [[], []])
    })
  }

  test('what it answers to the undo is garbled: residue until it answers as it should, and never a journal that cannot be read', async () => {
    app.answers = { 'POST /v1/end': { body: { ended: 'all' } } }
    const { report, pending, recover } = await run()
    assert.equal(report.exit_code, 4)
    assert.equal(pending.length, 1)
    const again = await recover()
    assert.equal(again.exit_code, 4)
    assert.match(again.residue[0]?.error ?? '', /ended/)
    app.answers = {}
    const recovered = await recover()
    assert.deepEqual(recovered.residue, [])
  })
})
