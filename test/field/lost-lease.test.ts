/** A lease that an application loses in the soak: it is told when it happens, by its step, and the run is not completed. */
import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import type { EventBody } from '../../src/core/events.ts'
import { within } from '../../src/core/within.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { config } from '../../src/targets/application/config.ts'
import { application } from '../../src/targets/application/index.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { FakeApplication } from '../fakes/application.ts'
import { ShopProcess } from '../fakes/shop.ts'

/** Much longer than a loss takes to be told, much shorter than a test may last. */
const SOAK_MS = 5 * 60_000
const TOLD_MS = 60_000

const dir = mkdtempSync(join(tmpdir(), 'chaos-lease-'))
const sockets = join(dir, '*.sock')
const shops: ShopProcess[] = []
let runs = 0
afterEach(async () => {
  for (const shop of shops.splice(0)) await shop.kill()
})
after(() => rmSync(dir, { recursive: true, force: true }))

async function start(name: string): Promise<ShopProcess> {
  const shop = new ShopProcess({ socket: join(dir, `${name}.sock`) })
  shops.push(shop)
  await shop.healthy()
  return shop
}

/** A run that is over long before its soak; what `lose` does is done when the soak begins. */
async function run(socket: string, lose: () => Promise<unknown>, lease = '2s') {
  const name = `r${++runs}`
  const state = await openStateDir(join(dir, name))
  const target_config = config.parse({ app: 'shop', socket })
  const params = { error_code: 503, components: ['pay'], lease }
  const events: EventBody[] = []
  const running = (signal: AbortSignal) =>
    runExperiment({
      experiment: fakeExperiment([{ skill_name: 'app.error', params }], {
        ...{ target: 'application', target_config, duration_ms: SOAK_MS },
      }),
      ...{ target: application, ...state, run: name, seed: 's', clock: systemClock, signal },
      emit(event) {
        events.push(event)
        if (event.type === 'run.phase' && event.phase === 'soak') void lose()
      },
      claim: () => Promise.resolve({ waited: false }),
    })
  const report = await within(TOLD_MS, running)
  return { report, failed: events.flatMap((event) => (event.type === 'step.failed' ? [event.error] : [])) }
}

test('D9 of an application: its process dies in the soak, and the run ends at once with the step and the process named', async () => {
  const shop = await start('one')
  // However long the lease lasts.
  const { report, failed } = await run(sockets, () => shop.kill(), '5m')
  assert.deepEqual([report.outcome, report.code, report.exit_code, report.residue], ['failed', 'STEP_FAILED', 1, []])
  assert.match(
    report.reason ?? '',
    /^step 1 \(.*pay.*\) failed: it ended by itself after .*: instance .* of shop \(pid \d+, .*one\.sock\) has ended/,
  )
  assert.equal(failed.length, 1)
  assert.equal(report.steps[0]?.state, 'reverted')
})

test('D9 of an application: somebody ends our lease; it is told, and not granted again', async () => {
  const app = new FakeApplication()
  try {
    const { chaos, calls } = await app.start('one')
    const { report } = await run(app.config.socket, async () => {
      assert.equal((await calls())[1], 'ChaosError')
      chaos.disable()
    })
    assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
    assert.match(
      report.reason ?? '',
      /it ended by itself after .*: instance .* has ended it: there is no lease .* in force/,
    )
    assert.equal(chaos.on, false)
  } finally {
    await app.stop()
  }
})

test('D9 of an application: it cannot be asked for longer than its lease lasts, so that the lease has run out', async () => {
  await start('one')
  const [path, away] = [join(dir, 'one.sock'), join(dir, 'away')]
  const { report } = await run(sockets, async () => {
    renameSync(path, away)
    await systemClock.sleep(6_000)
    renameSync(away, path)
  })
  assert.deepEqual([report.outcome, report.exit_code], ['failed', report.residue.length === 0 ? 1 : 4])
  assert.match(report.reason ?? '', /it ended by itself after .*cannot be asked.*its lease of 2s has run out/)
})

test('D9 of an application: of two instances one dies: the other keeps its fault until the soak is over', async () => {
  const [one, two] = [await start('one'), await start('two')]
  const { report, failed } = await run(sockets, async () => {
    await one.kill()
    // Lost with the first one, everything would be over by then.
    await two.until((h) => h.pay === 'ChaosError')
    await systemClock.sleep(4_000)
    await two.next((h) => h.pay === 'ChaosError')
    await two.kill()
  })
  assert.equal(failed.length, 2)
  assert.match(report.reason ?? '', /one\.sock\) has ended, and its faults with it/)
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
})
