/** A7: faults that could not do what they say, and did nothing without a word: each is warned of once. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { wrapMcpClient, wrapTools } from '../../src/faults/adapters/index.ts'
import { Chaos, ExperimentScheduler, wrap } from '../../src/faults/index.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { collect, enabled, error503 } from './helpers.ts'

/** A switch that is on, and what it has warned of. */
function warned(): { chaos: Chaos; said: string[] } {
  const said: string[] = []
  return { chaos: enabled({ warn: (text) => said.push(text) }), said }
}

/** As clients are made that can be called and have methods. */
const callable = (): ((url: string) => Promise<string>) & { get(url: string): Promise<string>; version: string } =>
  Object.assign((url: string) => Promise.resolve(url), { get: (url: string) => Promise.resolve(url), version: '1' })

describe('A7: wrap(axios).get met no fault, and nobody said so', () => {
  test('methods of a wrapped function are named, with how they are wrapped', async () => {
    const { chaos, said } = warned()
    const http = callable()
    for (let i = 0; i < 2; i++) {
      const wrapped = wrap<typeof http>(http, { component: 'http', faults: [error503], chaos })
      assert.equal(await wrapped.get('x'), 'x')
      await assert.rejects(wrapped('x'))
    }
    assert.deepEqual(said, [
      'http has methods of its own (get), and only calls of http itself meet faults: wrap each method that is to meet them, e.g. wrap(http.get, { component: "http.get" })',
    ])
    await assert.rejects(wrap(http.get, { component: 'http.get', faults: [error503], chaos })('x'))
  })

  test('functions without methods, mocks, and an application that refuses faults are left in peace', (t) => {
    const { chaos, said } = warned()
    wrap(() => 1, { chaos })
    wrap(
      Object.assign(() => 1, { version: 2 }),
      { chaos },
    )
    wrap(
      t.mock.fn(() => 1),
      { chaos },
    )
    wrap(
      Object.assign(() => 1, { _isMockFunction: true, mockReturnValue: () => 1 }),
      { chaos },
    )
    chaos.disable()
    wrap(callable(), { chaos })
    assert.deepEqual(said, [])
  })
})

class User {
  name = 'Ada'
}
const DROP: FaultConfig = { fault_type: 'partial_failure', mode: 'drop' }
const WRONG: FaultConfig = { fault_type: 'data_corruption', mode: 'wrong_values' }
const MODES = ['wrong_values', 'swap_fields', 'truncate', 'bit_flip'] as const
const DATA: FaultConfig[] = [DROP, ...MODES.map((mode) => ({ fault_type: 'data_corruption', mode }) as const)]

describe('A7: data faults left an object of a class as it was, and nobody said so', () => {
  for (const fault of DATA)
    test(`${fault.fault_type} ${fault.mode ?? ''} on an instance and on a Response is warned of once`, async () => {
      const { chaos, said } = warned()
      const user = wrap(() => new User(), { component: 'user', faults: [fault], chaos })
      const fetched = wrap(() => Promise.resolve(new Response('{"a": 1}')), {
        component: 'page',
        faults: [fault],
        chaos,
      })
      for (let i = 0; i < 3; i++) {
        assert.ok(user() instanceof User)
        assert.equal(await (await fetched()).text(), '{"a": 1}')
      }
      assert.equal(said.length, 2)
      assert.match(said[0] ?? '', /^\w+ with mode \w+ does nothing to user: .* \(User\); it changes plain data/)
      assert.match(said[1] ?? '', /does nothing to page: .* \(Response\); wrapFetch looks into the body/)
    })

  test('faults inside streams on what is no stream, also of a tool that an experiment has put them on', async () => {
    for (const fault of [
      { fault_type: 'latency', stall_ms: 1 },
      { fault_type: 'error', reset_after_items: 1 },
      { fault_type: 'data_corruption', mode: 'cut_stream' },
    ] as const) {
      const { chaos, said } = warned()
      const list = wrap(() => Promise.resolve([1, 2]), { component: 'list', faults: [fault], chaos })
      assert.deepEqual(await list(), [1, 2])
      await list()
      assert.equal(said.length, 1)
      assert.match(said[0] ?? '', /does nothing to list: what it answers \(Array\) is no stream/)
      const client = wrapMcpClient({ callTool: (p: { name: string }) => Promise.resolve({ content: [p] }) }, { chaos })
      const lease = chaos.lease({ faults: [fault], components: ['x'], lease_ms: 10_000 })
      await client.callTool({ name: 'x' })
      lease.end()
      assert.match(said[1] ?? '', /does nothing to x: .* is no stream/)
    }
  })

  test('nothing is said where data was changed, where there was none, and where no fault fired', async () => {
    const { chaos, said } = warned()
    const answers: unknown[] = [{ a: 1, b: 2 }, [1, 2], 'text', [], {}, '', undefined, null, new Map()]
    for (const faults of [[DROP], [WRONG]] as const)
      for (const answer of answers) await wrap(() => Promise.resolve(answer), { faults, chaos })()
    wrap(() => new User(), { faults: [{ ...DROP, probability: 0 }], chaos })()
    const stale = wrap(() => new User(), { faults: [{ fault_type: 'data_corruption', mode: 'stale' }], chaos })
    assert.ok(stale() instanceof User && stale() instanceof User)
    const items = wrap(
      async function* () {
        yield* await Promise.resolve([1, 2])
      },
      { faults: [DROP], chaos },
    )
    assert.deepEqual(await collect(items()), [1])
    assert.deepEqual(said, [])
  })
})

describe('A7: a misspelt component met no call, and nobody said so', () => {
  const serch: FaultConfig = { ...error503, affected_components: ['serch'] }
  const SAID = 'there are faults for serch, but nothing that is wrapped has that name: did you mean search?'

  test('affected_components of a wrapper, with its first call', async () => {
    for (const make of [() => 1, () => Promise.resolve(1), async () => Promise.resolve(1)]) {
      const { chaos, said } = warned()
      const search = wrap<() => unknown>(make, { component: 'search', faults: [serch], chaos })
      assert.deepEqual(said, [])
      for (let i = 0; i < 3; i++) assert.equal(await search(), 1)
      assert.deepEqual(said, [SAID])
    }
  })

  test('beside a fault that is met, in a switch that nobody has put on, and among tools', async () => {
    const { chaos, said } = warned()
    const both = { ...error503, affected_components: ['search', 'serch'] }
    await assert.rejects(wrap(() => Promise.resolve(1), { component: 'search', faults: [both], chaos })())
    assert.deepEqual(said, [SAID])

    const asleep: string[] = []
    const idle = new Chaos({ warn: (text) => asleep.push(text) })
    await wrap(async () => Promise.resolve(1), { component: 'search', faults: [serch], chaos: idle })()
    assert.deepEqual(asleep, [SAID])

    const tools = warned()
    const { search } = wrapTools(
      { search: { execute: () => Promise.resolve(1) }, pay: { execute: () => Promise.resolve(1) } },
      { faults: [serch], chaos: tools.chaos },
    )
    await search.execute()
    assert.deepEqual(tools.said, [SAID])
  })

  test('target_components of an experiment, with its start', async () => {
    const { chaos, said } = warned()
    wrap(() => 1, { component: 'search', chaos })
    wrap(() => 1, { component: 'pay', chaos })
    const scheduler = new ExperimentScheduler({ chaos })
    for (const target_components of [['serch'], ['pay', 'mail', '*'], []]) {
      const id = scheduler.schedule({ name: 'x', target_components, faults: [{ ...error503, probability: 0 }] })
      const running = scheduler.run(id)
      scheduler.abort(id)
      await running
    }
    assert.deepEqual(said, [
      SAID,
      'there are faults for mail, but nothing that is wrapped has that name: there is pay, search',
    ])
  })

  test('a list of faults that several wrappers share, and a name that a client may still meet, are no mistakes', async () => {
    const { chaos, said } = warned()
    const faults = [
      { ...error503, affected_components: ['search'] },
      { ...error503, affected_components: ['pay'] },
    ]
    const search = wrap(() => Promise.resolve(1), { component: 'search', faults, chaos })
    const pay = wrap(() => Promise.resolve(1), { component: 'pay', faults, chaos })
    await assert.rejects(search())
    await assert.rejects(pay())
    const asked = { callTool: (p: { name: string }) => Promise.resolve(p) }
    const client = wrapMcpClient(asked, { chaos, faults: [{ ...error503, affected_components: ['weather'] }] })
    await client.callTool({ name: 'forecast' })
    assert.deepEqual(said, [])
  })
})
