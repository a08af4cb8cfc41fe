/** When a fault fires: by probability, count, burst, time and warm-up; repeatable from a seed, and from a saved sequence. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chaosMonkey, FaultConfigError, FaultInjector, FaultSequence, resilienceTest } from '../../src/faults/index.ts'
import type { FaultConfig, MonkeyOptions } from '../../src/faults/index.ts'
import { enabled, error503, errorOf, raising } from './helpers.ts'

const chaos = enabled()
const fires = (fault: Partial<MonkeyOptions>, calls: number): number[] =>
  raising(
    chaosMonkey({ ...error503, chaos, ...fault })(() => 1),
    calls,
  )

describe('which calls', () => {
  test('every_nth: the third, the sixth, …', () => {
    assert.deepEqual(fires({ every_nth: 3 }, 10), [3, 6, 9])
  })

  test('first_n: only the first ones', () => {
    assert.deepEqual(fires({ first_n: 2 }, 10), [1, 2])
  })

  test('burst: some in a row, then a pause', () => {
    assert.deepEqual(fires({ burst: { calls: 2, every: 5 } }, 12), [1, 2, 6, 7, 11, 12])
  })

  test('after_calls: not during the warm-up', () => {
    assert.deepEqual(fires({ after_calls: 3 }, 5), [4, 5])
    assert.deepEqual(fires({ after_calls: 3, first_n: 1 }, 10), [4])
    assert.deepEqual(fires({ after_calls: 1, every_nth: 2 }, 7), [3, 5, 7])
  })

  test('after_ms and window_ms: by the time since the first call', async () => {
    const late = chaosMonkey({ ...error503, after_ms: 60, chaos })(() => 1)
    const windowed = chaosMonkey({ ...error503, window_ms: { from: 60, until: 4000 }, chaos })(() => 1)
    const early = chaosMonkey({ ...error503, window_ms: { from: 0, until: 50 }, chaos })(() => 1)
    const now = () => [late, windowed, early].map((fn) => raising(fn, 1).length)
    assert.deepEqual(now(), [0, 0, 1])
    await sleep(80)
    assert.deepEqual(now(), [1, 1, 0])
  })

  test('all conditions must hold, probability too', () => {
    const seen = fires({ every_nth: 2, probability: 0.5, seed: 3 }, 200)
    assert.ok(seen.every((call) => call % 2 === 0))
    assert.ok(seen.length > 25 && seen.length < 75, String(seen.length))
  })

  test('conditions that cannot be meant are refused when the function is wrapped', async () => {
    const bad: Partial<FaultConfig>[] = [
      { every_nth: 0 },
      { first_n: 1.5 },
      { burst: { calls: 3, every: 2 } },
      { window_ms: { from: 5, until: 5 } },
      { after_calls: -1 },
    ]
    for (const fault of bad) assert.ok((await errorOf(() => fires(fault, 1))) instanceof FaultConfigError)
  })
})

describe('a seed', () => {
  test('gives the same sequence again, and another seed another one', () => {
    const run = (seed: number) => fires({ probability: 0.3, seed }, 300)
    assert.deepEqual(run(42), run(42))
    assert.notDeepEqual(run(42), run(43))
  })

  test('of the whole registry is enough, and components do not disturb each other', () => {
    const run = (between: () => void) => {
      const own = enabled({ seed: 'x' })
      const [a, b] = ['a', 'b'].map((component) =>
        chaosMonkey({ ...error503, probability: 0.5, component, chaos: own })(() => 1),
      )
      assert.ok(a && b)
      return Array.from({ length: 50 }, () => {
        between()
        if (Math.random() < 0.5) raising(b, 1)
        return raising(a, 1).length
      }).join('')
    }
    assert.equal(
      run(() => undefined),
      run(() => undefined),
    )
  })

  test('also decides how data is damaged', () => {
    const run = (seed: number) =>
      chaosMonkey({ fault_type: 'data_corruption', mode: 'bit_flip', chaos, seed })(() => 'some text of some length')()
    assert.equal(run(5), run(5))
    assert.ok(new Set([1, 2, 3, 4, 5, 6].map(run)).size > 2)
  })

  test('makes shouldInject repeatable', () => {
    const run = () => {
      const injector = new FaultInjector({ chaos, seed: 9 })
      return Array.from({ length: 100 }, () => injector.shouldInject(0.5))
    }
    assert.deepEqual(run(), run())
    assert.equal(new FaultInjector({ chaos }).shouldInject(1), true)
    assert.equal(new FaultInjector({ chaos }).shouldInject(0), false)
  })

  test('draws as often as the probability says, without visible order', () => {
    for (const probability of [0.01, 0.5, 0.99]) {
      const count = fires({ probability, seed: 'even' }, 20_000).length
      const expected = 20_000 * probability
      assert.ok(Math.abs(count - expected) < 5 * Math.sqrt(expected * (1 - probability)) + 1, `${count} of ${expected}`)
    }
  })
})

describe('a saved sequence', () => {
  const wrapped = (sequence: FaultSequence, probability: number) =>
    resilienceTest({
      chaos,
      component: 'tool',
      sequence,
      faults: [
        { ...error503, probability },
        { fault_type: 'data_corruption', probability },
      ],
    })(() => 1)

  test('is replayed exactly, also by rules whose probability has changed', () => {
    const recorded = new FaultSequence({ seed: 'first', record: true })
    const first = raising(wrapped(recorded, 0.3), 200)
    const saved = JSON.parse(JSON.stringify(recorded)) as ReturnType<FaultSequence['toJSON']>
    assert.equal(saved.seed, 'first')
    assert.ok(first.length > 20)
    const again = FaultSequence.replay(saved)
    assert.deepEqual(raising(wrapped(again, 0.9), 200), first)
    assert.deepEqual(again.toJSON(), saved)
  })

  test('fires nothing beyond its end, and nothing for rules it does not know', () => {
    const saved = { seed: 1, fired: { 'tool/0': [[2, 3]] as [number, number][] }, complete: true }
    assert.deepEqual(raising(wrapped(FaultSequence.replay(saved), 1), 6), [2, 3])
  })

  test('that was not kept whole is refused', async () => {
    const saved = new FaultSequence({ seed: 1 }).toJSON()
    assert.match((await errorOf(() => FaultSequence.replay(saved))).message, /cannot be replayed/)
  })
})

describe('FaultInjector.inject', () => {
  test('goes on counting for a configuration that is used again, for each component by itself', async () => {
    const injector = new FaultInjector({ chaos })
    const config: FaultConfig = { ...error503, first_n: 1 }
    await errorOf(() => injector.inject(config, { component: 'a' }))
    assert.equal(await injector.inject(config, { component: 'a' }), false)
    await errorOf(() => injector.inject(config, { component: 'b' }))
  })

  test('tells what fired, and a signal ends its wait', async () => {
    const fired: string[] = []
    const injector = new FaultInjector({ chaos, fired: ({ component }) => fired.push(component) })
    const reason = new Error('enough')
    const slow: FaultConfig = { fault_type: 'latency', duration_ms: 60_000, affected_components: ['db'] }
    assert.equal(await errorOf(() => injector.inject(slow, { signal: AbortSignal.abort(reason) })), reason)
    assert.deepEqual(fired, ['db'])
  })
})
