/** Every row of the mission's table of features, each as a test of its name; what each does in depth is tested beside this file. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { faultSchema } from '../../src/config/chaos-experiment.ts'
import {
  chaosMonkey,
  ExperimentObserver,
  ExperimentScheduler,
  FAULT_MODES,
  FaultInjector,
  FaultType,
  resilienceTest,
} from '../../src/faults/index.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { enabled, error503, errorOf, raising } from './helpers.ts'

const chaos = enabled()

describe('the features of the mission', () => {
  test('6 fault types: each is injected by its own method', async () => {
    const fired: string[] = []
    const injector = new FaultInjector({ chaos, fired: ({ fault }) => fired.push(fault.fault_type) })
    await injector.injectLatency(1)
    await errorOf(() => injector.injectError(500))
    await errorOf(() => injector.injectTimeout())
    await errorOf(() => injector.injectPartialFailure())
    await errorOf(() => injector.injectResourceExhaustion())
    await errorOf(() => injector.injectDataCorruption())
    assert.deepEqual(fired, Object.values(FaultType))
  })

  test('probabilistic injection: 0 never, 1 always, between them about that often', () => {
    const count = (probability: number) =>
      raising(
        chaosMonkey({ ...error503, probability, seed: 2, chaos })(() => 1),
        500,
      )
    assert.equal(count(0).length, 0)
    assert.equal(count(1).length, 500)
    assert.ok(count(0.5).length > 200 && count(0.5).length < 300)
  })

  test('declarative experiments: every field and mode that the library knows is known to the file format', () => {
    // What is a function stands in code only.
    const everything: Required<Omit<FaultConfig, 'error' | 'when'>> = {
      fault_type: 'data_corruption',
      probability: 0.5,
      duration_ms: 1,
      error_code: 1,
      error_message: 'x',
      code: 'ECONNRESET',
      body: 'overloaded_error',
      after: true,
      callback: true,
      stall_ms: { from: 1, to: 2 },
      stall_after_items: 1,
      reset_after_items: 1,
      affected_components: ['x'],
      mode: 'stale',
      retry_after_seconds: 1,
      keep: 0.5,
      keep_items: 1,
      hold_bytes: 1,
      slots: 1,
      every_nth: 1,
      first_n: 1,
      burst: { calls: 1, every: 2 },
      window_ms: { from: 0, until: 1 },
      after_calls: 0,
      after_ms: 0,
    }
    assert.deepEqual(Object.keys(faultSchema.shape), Object.keys(everything))
    assert.deepEqual(faultSchema.parse(everything), everything)
    for (const [fault_type, modes] of Object.entries(FAULT_MODES))
      for (const mode of modes) assert.equal(faultSchema.safeParse({ fault_type, mode }).success, true, mode)
  })

  test('ExperimentScheduler: runs timed experiments, and aborts them mid-run', async () => {
    const scheduler = new ExperimentScheduler({ chaos })
    const id = scheduler.schedule({ name: 'long', duration_seconds: 600, faults: [error503] })
    const running = scheduler.run(id)
    scheduler.abort(id)
    assert.equal((await running).status, 'aborted')
  })

  test('ExperimentObserver: collects from many at once, in order, with scopes', async () => {
    const observer = new ExperimentObserver()
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => observer.scope('tool', `call${i}`, async () => Promise.resolve(i))),
    )
    assert.equal(observer.getObservations().length, 200)
  })

  test('chaosMonkey: one line on any function', async () => {
    assert.match((await errorOf(chaosMonkey({ ...error503, chaos })(() => 1))).message, /^\[503\]/)
  })

  test('resilienceTest: a list of faults before each call', async () => {
    const faults: FaultConfig[] = [{ ...error503, probability: 0 }, { fault_type: 'timeout' }]
    assert.equal((await errorOf(resilienceTest({ faults, chaos })(() => 1))).name, 'ChaosTimeoutError')
  })

  test('typed exceptions: each fault raises a class of its own', async () => {
    const raised = await Promise.all(
      Object.values(FaultType)
        .filter((type) => type !== 'latency')
        .map((fault_type) => errorOf(chaosMonkey({ fault_type, error_code: 1, chaos })(() => 1))),
    )
    assert.equal(new Set(raised.map((error) => error.constructor)).size, 5)
  })

  // The CLI's run, inject and report are tested as commands, in test/e2e/experiment.test.ts.
})
