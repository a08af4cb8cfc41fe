/** F5: an application that answers a byte at a time and never ends: its run fails, and gives its turn to the next. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Chaos, signal } from '../e2e/chaos.ts'
import { drip, HostileApplication } from '../fakes/hostile-application.ts'

describe('F5: with max_concurrent 1', { timeout: 4 * 60_000 }, () => {
  const [slow, well] = [new HostileApplication(), new HostileApplication()]
  const chaos = new Chaos()
  before(() => Promise.all([slow.start(), well.start()]))
  after(async () => {
    await Promise.all([slow.stop(), well.stop()])
    chaos.remove()
  })

  test('a dripping application does not hold the only turn, and SIGTERM is obeyed', async () => {
    slow.answers = { 'GET /v1/hello': { body: drip } }
    const entry = (name: string, app: HostileApplication) => ({
      experiment: {
        ...{ name, target: 'application', target_config: app.config, duration: '1s' },
        skills: [{ skill_name: 'app.error', params: { lease: '1s', error_code: 503 } }],
      },
      schedule: '* * * * * *',
    })
    const config = chaos.config({
      settings: { max_concurrent: 1 },
      experiments: [entry('slow', slow), entry('well', well)],
    })
    const daemon = chaos.start(['daemon', config, '--json'])
    const late = sleep(120_000, undefined, { ref: false }).then(() => undefined)
    const finished = (name: string) =>
      Promise.race([daemon.until((e) => e.type === 'run.finished' && e.report.experiment === name), late])
    try {
      const first = await finished('slow')
      assert.ok(first?.type === 'run.finished', 'the run at the slow one ends')
      assert.deepEqual([first.report.outcome, first.report.exit_code, first.report.residue], ['failed', 1, []])
      assert.match(first.report.reason ?? '', /no answer within|did not end within/)
      const second = await finished('well')
      assert.ok(second?.type === 'run.finished', 'the other has its turn')
    } finally {
      signal(daemon.child.pid, 'SIGTERM')
    }
    const exit = await Promise.race([daemon.exit, sleep(60_000, undefined, { ref: false })])
    if (!exit) signal(daemon.child.pid, 'SIGKILL')
    assert.ok(exit, 'SIGTERM is obeyed')
    assert.equal(exit.code, 0, exit.err)
  })
})
