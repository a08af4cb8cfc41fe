/** Experiments: they act on the components they name while they run, count what fired, and are apart from each other. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ExperimentObserver, ExperimentScheduler, FaultConfigError, wrap } from '../../src/faults/index.ts'
import type { ChaosExperiment } from '../../src/faults/index.ts'
import { enabled, error503, errorOf, raising } from './helpers.ts'

const short: ChaosExperiment = { name: 'short', duration_seconds: 1, faults: [error503], target_components: ['tool'] }

describe('ExperimentScheduler', () => {
  test('an experiment really acts on wrapped functions of its target_components, only on them, and only while it runs', async () => {
    const chaos = enabled()
    const [tool, other] = ['tool', 'other'].map((component) => wrap(() => 1, { component, chaos }))
    assert.ok(tool && other)
    const scheduler = new ExperimentScheduler({ chaos })
    const id = scheduler.schedule(short)
    assert.equal(tool(), 1)
    const running = scheduler.run(id)
    assert.equal(raising(tool, 5).length, 5)
    assert.equal(other(), 1)
    assert.equal(scheduler.getResult(id).status, 'running')
    const { summary, observations, status } = await running
    assert.equal(tool(), 1)
    assert.equal(status, 'completed')
    const calls = observations.filter((o) => o.details['source'] === 'call')
    assert.equal(calls.length, 5)
    assert.ok(calls.every((o) => o.component === 'tool' && o.event === 'error_exception'))
    assert.equal(summary.total_faults_fired, 5 + summary.fired_by_ticks)
  })

  test('the tick loop injects every fault into every component, once a tick, also where nothing is wrapped', async () => {
    const scheduler = new ExperimentScheduler({ chaos: enabled(), tick_ms: 300 })
    const faults = [error503, { fault_type: 'latency', duration_ms: 5 } as const]
    const { observations, summary } = await scheduler.run(
      scheduler.schedule({ ...short, faults, target_components: ['a', 'b'] }),
    )
    assert.equal(observations[0]?.event, 'experiment_started')
    assert.equal(observations.at(-1)?.event, 'experiment_ended')
    assert.deepEqual(
      observations.slice(1, 5).map((o) => `${o.component} ${o.event}`),
      ['a error_exception', 'b error_exception', 'a latency_injected', 'b latency_injected'],
    )
    assert.ok(summary.fired_by_ticks >= 4 && summary.fired_by_ticks <= 16, String(summary.fired_by_ticks))
  })

  test('the summary counts faults that fired by type, component and error, and nothing that did not', async () => {
    const chaos = enabled()
    const tool = wrap((list: number[]) => list, { component: 'tool', chaos })
    const scheduler = new ExperimentScheduler({ chaos, tick_ms: 60_000 })
    const faults = [{ ...error503, probability: 0 }, { fault_type: 'partial_failure', mode: 'drop' } as const]
    const id = scheduler.schedule({ ...short, faults })
    const running = scheduler.run(id)
    tool([1, 2])
    tool([])
    const { summary } = await running
    assert.equal(summary.total_faults_fired, 1)
    assert.deepEqual(summary.faults_by_type, { partial_failure: 1 })
    assert.deepEqual(summary.faults_by_component, { tool: 1 })
    assert.deepEqual(summary.errors_by_type, {})
  })

  test('abort before the run ends it as aborted, without a fault', async () => {
    const chaos = enabled()
    const tool = wrap(() => 1, { component: 'tool', chaos })
    const scheduler = new ExperimentScheduler({ chaos })
    const id = scheduler.schedule(short)
    assert.equal(scheduler.abort(id), true)
    const result = await scheduler.run(id)
    assert.equal(result.status, 'aborted')
    assert.equal(result.start_time, null)
    assert.equal(tool(), 1)
    assert.equal(scheduler.abort(id), false)
  })

  test('abort during the run ends it at once, also its waits, and keeps what was observed', async () => {
    const chaos = enabled()
    const tool = wrap(async () => Promise.resolve('ok'), { component: 'tool', chaos })
    const scheduler = new ExperimentScheduler({ chaos })
    const faults = [{ fault_type: 'latency', duration_ms: 600_000 } as const]
    const id = scheduler.schedule({ ...short, faults, duration_seconds: 300 })
    const running = scheduler.run(id)
    const call = tool()
    await sleep(20)
    assert.equal(scheduler.abort(id), true)
    assert.equal(await call, 'ok')
    const result = await running
    assert.equal(result.status, 'aborted')
    assert.equal(result.summary.faults_by_component['tool'], 2)
    assert.equal(result.observations.at(-1)?.details['status'], 'aborted')
  })

  test('concurrent experiments share neither observations nor counters', async () => {
    const chaos = enabled()
    const tool = wrap(() => 1, { component: 'tool', chaos })
    const scheduler = new ExperimentScheduler({ chaos, tick_ms: 60_000 })
    const ids = ['a', 'b'].map((experiment_id) =>
      scheduler.schedule({
        ...short,
        experiment_id,
        faults: [{ ...error503, first_n: 1 }],
        target_components: ['tool'],
      }),
    )
    const running = ids.map((id) => scheduler.run(id))
    assert.deepEqual(raising(tool, 4), [1, 2])
    scheduler.abort('a')
    const [a, b] = await Promise.all(running)
    assert.deepEqual([a?.status, b?.status], ['aborted', 'completed'])
    for (const result of [a, b])
      assert.equal(result?.observations.filter((o) => o.details['source'] === 'call').length, 1)
  })

  test('no target_components means every component', async () => {
    const chaos = enabled()
    const tool = wrap(() => 1, { component: 'anything', chaos })
    const scheduler = new ExperimentScheduler({ chaos })
    const running = scheduler.run(scheduler.schedule({ name: 'all', duration_seconds: 1, faults: [error503] }))
    assert.equal(raising(tool, 1).length, 1)
    await running
  })

  test('the sequence of a result replays its calls exactly', async () => {
    const run = async (more: object, calls: number[][]) => {
      const chaos = enabled()
      const tool = wrap(() => 1, { component: 'tool', chaos })
      const scheduler = new ExperimentScheduler({ chaos })
      const faults = [{ ...error503, probability: 0.4 }]
      const id = scheduler.schedule({ ...short, faults }, more)
      const running = scheduler.run(id)
      calls.push(raising(tool, 100))
      scheduler.abort(id)
      return (await running).sequence
    }
    const calls: number[][] = []
    const saved = await run({}, calls)
    await run({ replay: JSON.parse(JSON.stringify(saved)) as unknown }, calls)
    assert.deepEqual(calls[0], calls[1])
    assert.ok((calls[0]?.length ?? 0) > 10)
  })

  test('an unknown id, an id in use and a second run are refused with words', async () => {
    const scheduler = new ExperimentScheduler({ chaos: enabled() })
    const id = scheduler.schedule({ ...short, experiment_id: 'x' })
    const errors = [
      await errorOf(() => scheduler.getResult('y')),
      await errorOf(() => scheduler.schedule({ ...short, experiment_id: 'x' })),
    ]
    const running = scheduler.run(id)
    errors.push(await errorOf(() => scheduler.run(id)))
    scheduler.abort(id)
    await running
    assert.ok(errors.every((e) => e instanceof FaultConfigError))
    assert.match(
      errors.map((e) => e.message).join('\n'),
      /^no experiment y .* x\nexperiment x is pending .*\nexperiment x is running/,
    )
  })

  test('a result is plain data', async () => {
    const scheduler = new ExperimentScheduler({ chaos: enabled() })
    const result = await scheduler.run(scheduler.schedule(short))
    assert.deepEqual(JSON.parse(JSON.stringify(result)), result)
  })
})

describe('ExperimentObserver', () => {
  test('getObservations is a list of its own: it does not grow', () => {
    const observer = new ExperimentObserver()
    const details = { n: 1 }
    observer.observe('a', 'x', details)
    const before = observer.getObservations()
    details.n = 2
    observer.observe('a', 'y')
    assert.deepEqual(
      before.map((o) => [o.event, o.details]),
      [['x', { n: 1 }]],
    )
  })

  test('scope records the end and the error of work that fails, sync and async, and hands it on', async () => {
    const observer = new ExperimentObserver()
    const own = new Error('own')
    const fails = () => {
      throw own
    }
    assert.equal(await errorOf(() => observer.scope('a', 'sync', fails)), own)
    assert.equal(await errorOf(() => observer.scope('a', 'async', async () => Promise.reject(own))), own)
    assert.equal(
      observer.scope('a', 'fine', () => 5),
      5,
    )
    const ends = observer.getObservations().filter((o) => o.event.endsWith('_end'))
    assert.deepEqual(
      ends.map((o) => o.details['error']),
      ['own', 'own', undefined],
    )
    assert.ok(ends.every((o) => typeof o.details['duration_ms'] === 'number'))
  })

  test('keeps so many observations and counts the others', () => {
    const observer = new ExperimentObserver({ most: 2 })
    for (let i = 0; i < 5; i++) observer.observe('a', 'x')
    assert.equal(observer.getObservations().length, 2)
    assert.equal(observer.dropped, 3)
  })
})
