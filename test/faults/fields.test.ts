/** Every row of the mission's tables of fields and of fault types, each as a test of its name. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  ChaosError,
  ChaosTimeoutError,
  DataCorruptionError,
  ExperimentScheduler,
  FaultConfigError,
  FaultInjector,
  FaultType,
  InjectedFaultError,
  PartialFailureError,
  ResourceExhaustedError,
  chaosMonkey,
  resilienceTest,
} from '../../src/faults/index.ts'
import type { ChaosExperiment, FaultConfig } from '../../src/faults/index.ts'
import { enabled, error503, errorOf, raising, timeOf } from './helpers.ts'

const chaos = enabled()
const answer = () => 'ok'

describe('FaultConfig', () => {
  test('fault_type is required and names one of the six', async () => {
    assert.deepEqual(Object.keys(FaultType), [
      'latency',
      'error',
      'timeout',
      'partial_failure',
      'resource_exhaustion',
      'data_corruption',
    ])
    const wrong = await errorOf(() => chaosMonkey({ fault_type: 'slowness' as FaultType }))
    assert.ok(wrong instanceof FaultConfigError)
    assert.match(wrong.message, /fault_type must be one of latency, error, .*, got "slowness"/)
  })

  test('probability is the fraction of calls that fire, from 0 to 1, and 1 when it is not given', async () => {
    const fires = (probability?: number) => {
      const fault = probability === undefined ? error503 : { ...error503, probability }
      return raising(chaosMonkey({ ...fault, chaos, seed: 1 })(answer), 1000).length
    }
    assert.equal(fires(), 1000)
    assert.equal(fires(0), 0)
    assert.ok(Math.abs(fires(0.3) - 300) < 60, String(fires(0.3)))
    for (const wrong of [-0.1, 1.1, Number.NaN])
      assert.match((await errorOf(() => fires(wrong))).message, /probability must be a number from 0 to 1/)
  })

  test('duration_ms is how long a call is delayed; latency cannot do without it', async () => {
    const slow = chaosMonkey({ fault_type: 'latency', duration_ms: 60, chaos })(() => Promise.resolve('ok'))
    assert.ok((await timeOf(slow)) >= 55)
    assert.match((await errorOf(() => chaosMonkey({ fault_type: 'latency' }))).message, /latency needs duration_ms/)
    const negative = await errorOf(() => chaosMonkey({ fault_type: 'latency', duration_ms: -1 }))
    assert.match(negative.message, /duration_ms must be a whole number from 0 to/)
  })

  test('error_code is stored in the ChaosError; error cannot do without it', async () => {
    const error = await errorOf(chaosMonkey({ fault_type: 'error', error_code: 429, chaos })(answer))
    assert.ok(error instanceof ChaosError)
    assert.equal(error.error_code, 429)
    assert.equal(error.status, 429)
    assert.match((await errorOf(() => chaosMonkey({ fault_type: 'error' }))).message, /error needs error_code/)
  })

  test('error_message is the text of the error, after its code or type', async () => {
    const said = async (fault: FaultConfig) =>
      (await errorOf(chaosMonkey({ ...fault, error_message: 'no disk', chaos })(answer))).message
    assert.equal(await said(error503), '[503] no disk')
    assert.equal(await said({ fault_type: 'partial_failure' }), '[partial_failure] no disk')
    assert.equal(await said({ fault_type: 'resource_exhaustion' }), '[resource_exhaustion] no disk')
    assert.equal(await said({ fault_type: 'data_corruption' }), '[data_corruption] no disk')
    assert.equal(await said({ fault_type: 'timeout' }), '[timeout] no disk')
  })

  test('affected_components names the component, limits a list of faults to it, and tags what is observed', async () => {
    const error = await errorOf(chaosMonkey({ ...error503, affected_components: ['llm'], chaos })(answer))
    assert.ok(error instanceof InjectedFaultError)
    assert.equal(error.component, 'llm')
    const faults = [{ ...error503, affected_components: ['llm'] }]
    assert.equal(resilienceTest({ faults, component: 'search', chaos })(answer)(), 'ok')
    assert.ok(await errorOf(resilienceTest({ faults, component: 'llm', chaos })(answer)))
  })
})

describe('ChaosExperiment', () => {
  const short = { name: 'short', duration_seconds: 1 } as const
  const scheduler = () => new ExperimentScheduler({ chaos, tick_ms: 50 })
  const scheduled = (experiment: ChaosExperiment) => {
    const one = scheduler()
    return one.getResult(one.schedule(experiment)).experiment
  }

  test('experiment_id is preserved, or assigned by schedule', () => {
    const one = scheduler()
    assert.equal(one.schedule({ ...short, experiment_id: 'exp-001' }), 'exp-001')
    const [a, b] = [one.schedule(short), one.schedule(short)]
    assert.match(a, /^exp-\w+$/)
    assert.notEqual(a, b)
    assert.equal(one.getResult(a).experiment.experiment_id, a)
  })

  test('name is required', async () => {
    assert.equal(scheduled(short).name, 'short')
    assert.match((await errorOf(() => scheduled({ name: '' }))).message, /name must be a text/)
  })

  test('description is kept, and empty when it is not given', () => {
    assert.equal(scheduled(short).description, '')
    assert.equal(scheduled({ ...short, description: 'why' }).description, 'why')
  })

  test('faults are kept with their defaults, none when they are not given, and each is checked', async () => {
    assert.deepEqual(scheduled(short).faults, [])
    assert.deepEqual(scheduled({ ...short, faults: [error503] }).faults, [
      { ...error503, probability: 1, affected_components: [] },
    ])
    const wrong = await errorOf(() => scheduled({ ...short, faults: [error503, { fault_type: 'latency' }] }))
    assert.match(wrong.message, /experiment short: faults\[1\]: latency needs duration_ms/)
  })

  test('duration_seconds is 60 when it is not given, and a whole number above 0', async () => {
    assert.equal(scheduled({ name: 'x' }).duration_seconds, 60)
    for (const wrong of [0, -1, 1.5])
      assert.match(
        (await errorOf(() => scheduled({ name: 'x', duration_seconds: wrong }))).message,
        /duration_seconds must be a whole number/,
      )
  })

  test('duration_seconds is how long it runs', async () => {
    const one = scheduler()
    const id = one.schedule(short)
    const took = await timeOf(() => one.run(id))
    assert.ok(took >= 990 && took < 10_000, String(took))
    assert.ok(one.getResult(id).summary.duration_seconds >= 0.99)
  })

  test('target_components are used where a fault has no affected_components', async () => {
    const one = scheduler()
    const faults = [error503, { ...error503, error_code: 500, affected_components: ['b'] }]
    const { observations } = await one.run(one.schedule({ ...short, faults, target_components: ['a'] }))
    const raised = observations.filter((o) => o.event === 'error_exception')
    assert.ok(raised.some((o) => o.component === 'a' && String(o.details['message']).startsWith('[503]')))
    assert.ok(raised.every((o) => (o.component === 'b') === String(o.details['message']).startsWith('[500]')))
  })
})

describe('Fault Type Reference', () => {
  const raised = (fault: FaultConfig) => errorOf(chaosMonkey({ ...fault, chaos })(answer))

  test('latency raises nothing: it blocks a synchronous function, then returns', () => {
    const slow = chaosMonkey({ fault_type: 'latency', duration_ms: 30, chaos })(answer)
    const begun = performance.now()
    assert.equal(slow(), 'ok')
    assert.ok(performance.now() - begun >= 29)
  })

  test('error raises ChaosError(error_code, message)', async () => {
    assert.ok((await raised(error503)) instanceof ChaosError)
    const own = new ChaosError(503, 'Service unavailable')
    assert.equal(`${own.name}: ${own.message}`, 'ChaosError: [503] Service unavailable')
  })

  test('timeout raises ChaosTimeoutError, without duration_ms at once', async () => {
    assert.ok((await raised({ fault_type: 'timeout' })) instanceof ChaosTimeoutError)
  })

  test('partial_failure raises PartialFailureError("[partial_failure] …")', async () => {
    const error = await raised({ fault_type: 'partial_failure' })
    assert.ok(error instanceof PartialFailureError)
    assert.match(error.message, /^\[partial_failure\] ./)
  })

  test('resource_exhaustion raises ResourceExhaustedError', async () => {
    const error = await raised({ fault_type: 'resource_exhaustion' })
    assert.ok(error instanceof ResourceExhaustedError)
    assert.match(error.message, /^\[resource_exhaustion\] ./)
  })

  test('data_corruption raises DataCorruptionError', async () => {
    const error = await raised({ fault_type: 'data_corruption' })
    assert.ok(error instanceof DataCorruptionError)
    assert.match(error.message, /^\[data_corruption\] ./)
  })

  test('every class is caught by its own name, and all of them as InjectedFaultError', async () => {
    const injector = new FaultInjector({ chaos })
    const errors = await Promise.all([
      errorOf(() => injector.injectError(503)),
      errorOf(() => injector.injectTimeout()),
      errorOf(() => injector.injectPartialFailure()),
      errorOf(() => injector.injectResourceExhaustion()),
      errorOf(() => injector.injectDataCorruption()),
    ])
    assert.deepEqual(
      errors.map((e) => e.name),
      ['ChaosError', 'ChaosTimeoutError', 'PartialFailureError', 'ResourceExhaustedError', 'DataCorruptionError'],
    )
    assert.ok(errors.every((e) => e instanceof InjectedFaultError))
    assert.equal(new Set(errors.map((e) => e.constructor)).size, 5)
  })
})
