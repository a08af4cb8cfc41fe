/** The production guard: nothing is injected unless somebody has said so, and one word ends everything. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  Chaos,
  ChaosDisabledError,
  chaosMonkey,
  ExperimentScheduler,
  FaultInjector,
  wrap,
} from '../../src/faults/index.ts'
import { enabled, error503, errorOf, timeOf } from './helpers.ts'

describe('without a word from anybody', () => {
  test('wrapped functions and injectors inject nothing, and experiments are refused with what to do', async () => {
    const chaos = new Chaos()
    assert.equal(chaosMonkey({ ...error503, chaos })(() => 1)(), 1)
    const injector = new FaultInjector({ chaos })
    assert.equal(await injector.injectError(503), false)
    assert.equal(injector.shouldInject(1), false)
    const scheduler = new ExperimentScheduler({ chaos })
    const id = scheduler.schedule({ name: 'x', faults: [error503], duration_seconds: 1 })
    const refused = await errorOf(() => scheduler.run(id))
    assert.ok(refused instanceof ChaosDisabledError)
    assert.match(refused.message, /call enable\(\).*CHAOS_ENABLED=1/)
    assert.equal(scheduler.getResult(id).status, 'pending')
  })

  test('enable() turns on what was wrapped before, disable() turns it off again', async () => {
    const chaos = new Chaos()
    const fn = chaosMonkey({ ...error503, chaos })(() => 1)
    chaos.enable()
    await errorOf(fn)
    chaos.disable()
    assert.equal(fn(), 1)
  })
})

describe('CHAOS_ENABLED', () => {
  const library = fileURLToPath(new URL('../../src/index.ts', import.meta.url))
  const says = (value: string | undefined) => {
    const script = `const { application, chaosMonkey } = await import(${JSON.stringify(library)})
      let end = 'answer'
      try { chaosMonkey({ fault_type: 'partial_failure' })(() => 1)() } catch { end = 'fault' }
      console.log(application.state, end)`
    const env = { ...process.env, CHAOS_ENABLED: value }
    const args = ['--import', './scripts/ts.mjs', '--input-type=module', '-e', script]
    const { stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' })
    return stdout.trim() || stderr
  }

  test('of 1 enables, of 0 refuses, and not set leaves it to the code', () => {
    assert.equal(says('1'), 'enabled fault')
    assert.equal(says('0'), 'disabled answer')
    assert.equal(says(undefined), 'idle answer')
  })
})

describe('a lease', () => {
  const lease_ms = 150

  test('injects without enable(), on its components only, and does not wake the faults of decorators', async () => {
    const chaos = new Chaos()
    const [a, b] = ['a', 'b'].map((component) => wrap(() => 1, { component, chaos }))
    const decorated = chaosMonkey({ ...error503, chaos })(() => 1)
    const lease = chaos.lease({ faults: [error503], components: ['a'], lease_ms: 60_000 })
    assert.ok(a && b)
    await errorOf(a)
    assert.equal(b(), 1)
    assert.equal(decorated(), 1)
    lease.end()
    assert.equal(a(), 1)
    assert.equal(chaos.on, false)
  })

  test('ends by itself when it is not renewed, and lives while it is', async () => {
    const chaos = new Chaos()
    const fn = wrap(() => 1, { component: 'a', chaos })
    let ended = 0
    const lease = chaos.lease({ faults: [error503], lease_ms, ended: () => ended++ })
    for (let i = 0; i < 4; i++) {
      await sleep(60)
      await errorOf(fn)
      assert.equal(lease.renew(), true)
    }
    const begun = performance.now()
    while (!lease.hasEnded && performance.now() - begun < 15_000) await sleep(10)
    assert.equal(fn(), 1)
    assert.equal(lease.renew(), false)
    assert.equal(ended, 1)
  })

  test('that ends lets the calls that hang because of it go on as if nothing had been', async () => {
    const chaos = new Chaos()
    const fn = wrap(async () => Promise.resolve('healthy'), { component: 'a', chaos })
    for (const fault_type of ['latency', 'timeout'] as const) {
      chaos.lease({ faults: [{ fault_type, duration_ms: 600_000 }], lease_ms })
      const took = await timeOf(async () => assert.equal(await fn(), 'healthy'))
      assert.ok(took < 15_000, String(took))
    }
  })

  test('of a component that is wrapped later acts on it', async () => {
    const chaos = new Chaos()
    const lease = chaos.lease({ faults: [{ ...error503, affected_components: ['late'] }], lease_ms: 60_000 })
    assert.deepEqual(chaos.components(), [])
    await errorOf(wrap(() => 1, { component: 'late', chaos }))
    lease.end()
  })
})

describe('disable()', () => {
  test('ends leases, experiments and waiting calls at once, and refuses new ones until enable()', async () => {
    const chaos = enabled()
    const slow = chaosMonkey({ fault_type: 'latency', duration_ms: 600_000, chaos })(async () => Promise.resolve('ok'))
    const scheduler = new ExperimentScheduler({ chaos })
    const id = scheduler.schedule({ name: 'x', faults: [{ fault_type: 'timeout', duration_ms: 600_000 }] })
    const running = scheduler.run(id)
    const waiting = slow()
    const lease = chaos.lease({ faults: [error503], lease_ms: 600_000 })
    await sleep(10)
    chaos.disable()
    assert.equal(await waiting, 'ok')
    assert.equal((await running).status, 'aborted')
    assert.ok(lease.hasEnded)
    assert.equal(await slow(), 'ok')
    const refused = await errorOf(() => chaos.lease({ faults: [error503], lease_ms: 1000 }))
    assert.ok(refused instanceof ChaosDisabledError)
    chaos.enable()
    chaos.lease({ faults: [], lease_ms: 1000 }).end()
  })
})
