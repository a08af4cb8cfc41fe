/** The six faults of the application target keep the contract of every skill, on an application with two instances. */
import assert from 'node:assert/strict'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/core/clock.ts'
import { markOf } from '../../src/core/skill.ts'
import { wrapFetch } from '../../src/faults/adapters/index.ts'
import { ownerOf } from '../../src/faults/connect/owner.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { connectApplication } from '../../src/targets/application/agent.ts'
import { applicationClient } from '../../src/targets/application/client.ts'
import type { AppClient } from '../../src/targets/application/client.ts'
import { config } from '../../src/targets/application/config.ts'
import { application } from '../../src/targets/application/index.ts'
import { dataCorruption } from '../../src/targets/application/skills/data_corruption.ts'
import { error } from '../../src/targets/application/skills/error.ts'
import { latency } from '../../src/targets/application/skills/latency.ts'
import { partialFailure } from '../../src/targets/application/skills/partial_failure.ts'
import { resourceExhaustion } from '../../src/targets/application/skills/resource_exhaustion.ts'
import { timeout } from '../../src/targets/application/skills/timeout.ts'
import { openRig, skillContract } from '../contract/skill.ts'
import type { SkillCase } from '../contract/skill.ts'
import { FakeApplication } from '../fakes/application.ts'
import type { FakeInstance } from '../fakes/application.ts'

const error503: FaultConfig = { fault_type: 'error', error_code: 503 }

const CASES = [
  { skill: latency, params: { duration_ms: 20 }, effect: 'slow' },
  { skill: error, params: { error_code: 503 }, effect: 'ChaosError' },
  { skill: timeout, params: { duration_ms: 10 }, effect: 'ChaosTimeoutError' },
  { skill: partialFailure, params: { mode: 'drop' }, effect: 'other' },
  { skill: resourceExhaustion, params: { mode: 'rate_limit' }, effect: 'ResourceExhaustedError' },
  { skill: dataCorruption, params: { mode: 'wrong_values' }, effect: 'other' },
] as const

/** What a caller of two of its components notices: answers, and whether each of five calls is slow. */
async function noticed({ calls }: FakeInstance): Promise<unknown> {
  const answers: unknown[] = []
  let fastest = Infinity
  for (let n = 0; n < 5; n++) {
    const begun = performance.now()
    answers.push(await calls())
    fastest = Math.min(fastest, performance.now() - begun)
  }
  return { answers, slow: fastest >= 19 }
}

describe('the application target', () => {
  const app = new FakeApplication()
  before(async () => {
    await app.start('one')
    await app.start('two')
  })
  after(() => app.stop())
  const all = CASES.map(({ skill }) => skill)
  let others = 0
  let end: () => Promise<void> = () => Promise.resolve()
  /** Leases of exactly our marks, without a key and with one of somebody else's; and of a run whose name begins as ours does. */
  const theirs: { mark: string; key?: string }[] = []
  const asked = async <T>(
    ask: (client: AppClient, address: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T[]> => {
    const client = applicationClient(config.parse(app.config))
    const signal = AbortSignal.timeout(10_000)
    const { instances } = await client.look(signal)
    return Promise.all(instances.map(({ address }) => ask(client, address, signal)))
  }
  const namesakes: SkillCase['strangers'] = {
    async come(marks) {
      const begins = (marks[0] ?? '').replace(/-0$/, `x-${++others}`)
      theirs.push({ mark: begins })
      for (const mark of marks) theirs.push({ mark }, { mark, key: 'of-somebody-else' })
      for (const one of theirs) {
        const components = one.mark === begins ? ['elsewhere'] : ['mail', 'pay']
        const lease = { ...one, faults: [error503], components, lease_ms: 60_000 }
        await asked((client, address, signal) => client.grant(address, lease, signal))
      }
    },
    async untouched() {
      for (const leases of await asked((client, address, signal) => client.leases(address, signal)))
        for (const { mark, key } of theirs)
          assert.ok(
            leases.some((one) => one.mark === mark && one.owner === (key && ownerOf(key)) && one.in_force),
            `${mark} ${key}`,
          )
    },
    async end() {
      for (const one of theirs.splice(0)) await asked((client, address, signal) => client.end(address, one, signal))
    },
  }
  const caseOf = (skill: (typeof CASES)[number]['skill'], params: object): SkillCase => ({
    ...{ name: 'two instances', skill, params },
    connect: (options) => connectApplication(config.parse(app.config), all, options),
    arrange: () => Promise.resolve(),
    snapshot: () => app.snapshot(),
    effect: () => Promise.all(app.instances.map(noticed)),
    // The six share their code: one process more is enough.
    ...(skill === error ? { elsewhere: () => app.config } : {}),
    brief: { ...params, lease: '2s' },
    replaced: {
      // Somebody ends our leases, and another installation's faults are on the same components.
      async change(ours) {
        for (const { mark, step } of ours) {
          const { key } = step as { key: string }
          await asked((client, address, signal) => client.end(address, { mark, key }, signal))
        }
        const other = await openRig(
          {
            skill: error,
            params: { error_code: 503 },
            connect: (options) => connectApplication(config.parse(app.config), all, options),
          },
          `other${++others}`,
          systemClock,
          'elsewhere',
        )
        await other.applyAll()
        end = async () => {
          await other.undoAll()
          await other.close()
        }
      },
      end: () => end(),
    },
    strangers: namesakes,
  })

  for (const { skill, params, effect } of CASES) {
    skillContract(caseOf(skill, { ...params, components: ['pay', 'search'] }))

    test(`${skill.name} breaks the named component on every instance, and no other`, async () => {
      const rig = await openRig(caseOf(skill, { ...params, components: ['search'] }))
      const healthy = await app.instances[0]!.calls()
      try {
        await rig.applyAll()
        for (const { calls } of app.instances) {
          const begun = performance.now()
          const [search, pay, mail] = await calls()
          if (effect === 'slow') assert.ok(performance.now() - begun >= 19)
          else if (effect === 'other') assert.notDeepEqual(search, healthy[0])
          else assert.equal(search, effect)
          assert.deepEqual([pay, mail], healthy.slice(1))
        }
        const { step } = rig.steps[0]!
        const ctx = { version: 1, mark: markOf(rig.install, rig.run, 1), clock: systemClock, signal: rig.signal }
        assert.deepEqual(await rig.agent.observe(skill.name, step, ctx), { calls: 2, fired: 2, missing: 0 })
        await rig.undoAll()
        await app.snapshot()
        assert.deepEqual(await rig.agent.observe(skill.name, step, ctx), { calls: 2, fired: 2, missing: 0 })
      } finally {
        await rig.undoAll()
        await rig.close()
      }
    })
  }

  test('by itself it picks as many components as it may, and repeats are disjoint', async () => {
    const rig = await openRig(caseOf(error, { error_code: 503 }))
    const { steps } = await rig.plan()
    assert.deepEqual(steps.map((s) => s.resource).sort(), ['mail', 'pay', 'search'])
    const again = await rig.plan(undefined, { taken: new Set(['mail', 'pay']) })
    assert.deepEqual(again.steps.map((s) => s.resource), ['search']) // prettier-ignore
    await assert.rejects(
      rig.plan({ error_code: 503, lease: '10s', components: ['serch'] }),
      /no component "serch"; it has mail, pay/,
    )
    await rig.close()
  })

  test('A13: a host that its application has not called yet is planned with a note, and met with its first call', async () => {
    const own = new FakeApplication()
    try {
      const { chaos } = await own.start('one')
      const rig = await openRig({
        ...caseOf(error, { error_code: 503 }),
        connect: (options) => connectApplication(config.parse(own.config), all, options),
      })
      const named = { error_code: 503, lease: '10s', components: ['search', 'api.example.com', 'serch'] }
      // As an older application answers, and one whose components are all known.
      await assert.rejects(rig.plan(named), /no component "api.example.com"; it has mail, pay, search/)
      const get = wrapFetch<(url: string) => Promise<Response>>(() => Promise.resolve(new Response('{}')), { chaos })
      const { steps, notes = [] } = await rig.plan(named)
      assert.deepEqual(
        steps.map(({ resource }) => resource),
        named.components,
      )
      assert.match(notes.join('\n'), /"api.example.com" is not met yet: the application/)
      assert.match(notes.join('\n'), /"serch" is not met yet \(did you mean "search"\?\)/)
      // Everything is never meant by a name that is not there.
      await assert.rejects(rig.plan({ ...named, components: ['*'] }), /no component "\*"/)
      await rig.close()

      const client = applicationClient(config.parse(own.config))
      const signal = AbortSignal.timeout(60_000)
      const { instances } = await client.look(signal)
      const address = instances[0]?.address ?? ''
      const grant = { mark: 'chaos-a-b-1', faults: [error503], components: ['api.example.com'], lease_ms: 60_000 }
      await client.grant(address, grant, signal)
      // Nobody has called: the run would be ineffective.
      assert.deepEqual((await client.leases(address, signal)).map(({ calls, fired }) => [calls, fired]), [[0, 0]]) // prettier-ignore
      assert.equal((await get('https://api.example.com/x')).status, 503)
      assert.deepEqual((await client.leases(address, signal)).map(({ calls, fired }) => [calls, fired]), [[1, 1]]) // prettier-ignore
    } finally {
      await own.stop()
    }
  })

  test('a held fault outlives its lease many times, and one that nobody holds does not', async () => {
    const rig = await openRig(caseOf(error, { error_code: 503, lease: '1s', components: ['pay'] }))
    await rig.applyAll()
    await sleep(2_500)
    assert.equal((await app.instances[1]!.calls())[1], 'ChaosError')
    await rig.closeHeld()
    assert.equal(app.instances.some(({ chaos }) => chaos.on), false) // prettier-ignore
    await rig.close()
  })

  test('an instance that joins gets the fault too', async () => {
    const rig = await openRig(caseOf(error, { error_code: 503, lease: '1s', components: ['pay'] }))
    await rig.applyAll()
    const third = await app.start('three')
    const end = performance.now() + 10_000
    while ((await third.calls())[1] !== 'ChaosError') {
      assert.ok(performance.now() < end)
      await sleep(20)
    }
    await rig.undoAll()
    assert.equal(third.chaos.on, false)
    await third.connection.close()
    app.instances.splice(app.instances.indexOf(third), 1)
    await rig.close()
  })

  test('an instance that cannot be asked is waited for once, for as long as its lease can last; every attempt after that gives up at once', async () => {
    const lonely = new FakeApplication()
    await lonely.start('one')
    const connect: SkillCase['connect'] = (options) => connectApplication(config.parse(lonely.config), all, options)
    const rig = await openRig({ ...caseOf(error, { error_code: 503, lease: '1s', components: ['pay'] }), connect })
    await rig.applyAll()
    const [path, away] = [join(lonely.dir, 'one.sock'), join(lonely.dir, 'away')]
    renameSync(path, away)
    await rig.closeHeld()
    const timeOf = async (): Promise<number> => {
      const begun = performance.now()
      await assert.rejects(rig.revertAll(), /nobody can say that the fault is gone: instance .*cannot be asked/)
      return performance.now() - begun
    }
    const first = await timeOf()
    assert.ok(first >= 3_000, `${first} ms`)
    const again = await timeOf()
    assert.ok(again < first / 2, `${again} ms, at first ${first} ms`)
    renameSync(away, path)
    await rig.revertAll()
    assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
    await rig.close()
    await lonely.stop()
  })

  test('another installation’s run on the same component is refused with its mark, in claim and in apply', async () => {
    const rig = await openRig(caseOf(error, { error_code: 503, components: ['pay'] }))
    await rig.applyAll()
    const other = await openRig(caseOf(latency, { duration_ms: 5, components: ['pay'] }))
    const mark = `chaos-contract-${rig.run}-1`
    const keys = [{ scope: 'resource' as const, key: 'application/shop/pay' }]
    await assert.rejects(other.agent.claim(keys, other.signal), new RegExp(`in use by ${mark}`))
    await assert.rejects(other.applyAll(), new RegExp(mark))
    await rig.agent.claim(keys, rig.signal)
    await rig.undoAll()
    await other.agent.claim(keys, other.signal)
    await rig.close()
    await other.close()
  })
})

describe('the configuration of an application', () => {
  const problems = (more: object): string[] =>
    (config.safeParse({ app: 'shop', ...more }).error?.issues ?? []).map((i) => `${i.path.join('.')} ${i.message}`)

  test('says where it listens, and over http with a token', () => {
    assert.deepEqual(problems({ socket: '/run/shop/*.sock' }), [])
    assert.match(problems({}).join(), /socket, sockets or http/)
    assert.match(problems({ socket: '/run/*/chaos.sock' }).join(), /not the path of a socket/)
    assert.match(problems({ http: 'http://127.0.0.1:1' }).join(), /token is needed/)
    assert.match(problems({ http: 'http://127.0.0.1:1', token: 'short' }).join(), /16 characters/)
    for (const http of ['https://a:1', 'http://u:p@a', 'http://a/path', 'a:1'])
      assert.match(problems({ http, token: 'x'.repeat(16) }).join(), /not an address|Invalid input/)
  })

  test('its key has no secret and no order, and the guard sees its name and hosts', () => {
    const token = 'canary-canary-canary'
    const parsed = config.parse({ app: 'shop', http: ['http://b:2', 'http://a:1'], socket: '/s', token })
    assert.deepEqual(application.endpoint(parsed), { key: 'app://shop@/s,a:1,b:2', names: ['shop', 'b', 'a'] })
    assert.doesNotMatch(JSON.stringify(application.redact(parsed)), /canary/)
    assert.deepEqual(application.secrets(parsed), [token])
  })

  test('parameters are those of the library, which says what goes together', () => {
    const wrong = (params: object) => latency.params.safeParse(params).error?.issues[0]?.message ?? ''
    assert.equal(wrong({ duration_ms: 5, burst: { calls: 1, every: 2 } }), '')
    assert.match(wrong({ duration_ms: 5, burst: { calls: 3, every: 2 } }), /calls ≤ every/)
    assert.match(wrong({ duration_ms: 5, window_ms: { from: 2, until: 1 } }), /from < until/)
    for (const lease of ['10', '10ms', '1h']) assert.match(wrong({ duration_ms: 5, lease }), /write 10s/)
  })
})
