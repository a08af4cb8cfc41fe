/** Strangers who grant and end under our marks in an application: F2 for leases. A name finds, the key proves. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { markOf } from '../../src/core/skill.ts'
import { ownerOf } from '../../src/faults/connect/owner.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { connectApplication } from '../../src/targets/application/agent.ts'
import type { CheckedLease } from '../../src/targets/application/answers.ts'
import type { SaidNoError } from '../../src/targets/application/client.ts'
import { applicationClient } from '../../src/targets/application/client.ts'
import { config } from '../../src/targets/application/config.ts'
import { error } from '../../src/targets/application/skills/error.ts'
import { openRig } from '../contract/skill.ts'
import type { Journaled, Rig } from '../contract/skill.ts'
import { FakeApplication } from '../fakes/application.ts'
import { HELLO, HostileApplication } from '../fakes/hostile-application.ts'

const error503: FaultConfig = { fault_type: 'error', error_code: 503 }
const signal = AbortSignal.timeout(120_000)

const rigOn = (target: { config: object }, run?: string): Promise<Rig> =>
  openRig(
    {
      skill: error,
      params: { error_code: 503, components: ['pay'], lease: '5s' },
      connect: (options) => connectApplication(config.parse(target.config), [error], options),
    },
    run,
  )

describe('F2: leases under our mark that others have granted', () => {
  const app = new FakeApplication()
  const client = applicationClient(config.parse(app.config))
  let address = ''
  let mark = ''
  let rig: Rig
  before(async () => {
    address = (await app.start('one')).connection.address
  })
  beforeEach(async () => {
    rig = await rigOn(app)
    mark = markOf(rig.install, rig.run, 1)
  })
  after(() => app.stop())
  const theirs = (more: object = {}) => ({ mark, faults: [error503], components: ['pay'], lease_ms: 60_000, ...more })
  const inForce = async (): Promise<CheckedLease[]> =>
    (await client.leases(address, signal)).filter((lease) => lease.in_force && lease.mark === mark)
  const owners = async () => (await inForce()).map(({ owner }) => owner)
  const end = async (...keys: (string | undefined)[]) => {
    for (const key of keys) await client.end(address, { mark, ...(key === undefined ? {} : { key }) }, signal)
    await rig.close()
  }

  test('a stranger who grants our mark first keeps his lease, and we get and end our own', async () => {
    await client.grant(address, theirs(), signal)
    await client.grant(address, theirs({ key: 'a-key-of-a-stranger' }), signal)
    const [effect] = await rig.applyAll()
    assert.equal(effect?.inEffect, 1)
    assert.equal((await inForce()).length, 3)
    await rig.closeHeld()
    const told: string[] = []
    await rig.agent.quiesce(rig.run, signal, (words) => void told.push(words))
    assert.deepEqual(told, [`lease ${mark} at ${address} on pay, granted without a key`])
    await rig.revertAll()
    const seen = await rig.inspect(rig.steps[0]!)
    assert.deepEqual([seen.inEffect, seen.foreign], [0, 2])
    assert.match((seen.names ?? []).join(), /a lease chaos-contract-.*, which others have granted/)
    assert.deepEqual(await owners(), [undefined, ownerOf('a-key-of-a-stranger')])
    await end(undefined, 'a-key-of-a-stranger')
    assert.deepEqual(await inForce(), [])
  })

  test('a later process ends ours from what the journal has, and no lease of the same name', async () => {
    await rig.applyAll()
    const steps = JSON.parse(JSON.stringify(rig.steps)) as Journaled[]
    await client.grant(address, theirs(), signal)
    const later = await rigOn(app, rig.run)
    later.adopt(steps)
    // The worker is dead: nothing renews, and nothing has been closed.
    await later.undoAll()
    assert.equal((await later.inspect(steps[0]!)).inEffect, 0)
    assert.deepEqual(await owners(), [undefined])
    await later.close()
    await end(undefined)
  })

  test('the key is durable before anything is granted with it, and nobody is shown it', async () => {
    await rig.plan()
    const step = rig.steps[0]!
    const applying = rig.apply(step, { record: 'hangs' })
    await rig.recording
    assert.deepEqual(await client.leases(address, signal).then((all) => all.filter((one) => one.mark === mark)), [])
    const { key } = step.step as { key: string }
    assert.ok(key.length >= 20)
    rig.letGo()
    await applying
    await client.grant(address, theirs({ key }), signal)
    assert.deepEqual(await owners(), [ownerOf(key)])
    assert.ok(!JSON.stringify(await client.leases(address, signal)).includes(key))
    await end(key)
  })

  test('nobody renews or ends our lease, or the whole run, by its name', async () => {
    await rig.applyAll()
    const said = async (ask: Promise<unknown>) => ask.then(() => 'yes', (no: unknown) => (no as SaidNoError).code) // prettier-ignore
    const wrong = 'some-other-key-of-16'
    assert.equal(await said(client.renew(address, { mark }, signal)), 'unknown')
    assert.equal(await said(client.renew(address, { mark, key: wrong }, signal)), 'unknown')
    assert.deepEqual((await client.end(address, { mark }, signal)).ended, [])
    assert.deepEqual((await client.end(address, { mark, key: wrong }, signal)).ended, [])
    assert.deepEqual((await client.end(address, { prefix: mark.replace(/\d+$/, '') }, signal)).ended, [])
    assert.equal((await inForce()).length, 1)
    await rig.undoAll()
    assert.deepEqual(await inForce(), [])
    for (const key of ['short', 'x'.repeat(101), 'no spaces in a key'])
      assert.equal(await said(client.grant(address, theirs({ key }), signal)), 'bad_request')
    await rig.close()
  })

  test('a step of a version before keys ends the lease that does what it did, and no other one of its name', async () => {
    for (const components of [['pay'], ['mail']]) {
      const [it, at] = [await rigOn(app), components[0] ?? '']
      await it.plan()
      mark = markOf(it.install, it.run, 1)
      await client.grant(address, theirs({ components }), signal)
      assert.equal((await it.inspect(it.steps[0]!)).inEffect, at === 'pay' ? 1 : 0)
      await it.undoAll()
      assert.equal((await inForce()).length, at === 'pay' ? 0 : 1, at)
      assert.equal((await it.inspect(it.steps[0]!)).inEffect, 0)
      await client.end(address, { mark }, signal)
      await it.close()
    }
    await rig.close()
  })
})

test('an application of a version before keys has its fault ended by its mark, as ever', async () => {
  const old = await new HostileApplication().start()
  const leases = new Map<string, object>()
  old.answers['GET /v1/hello'] = { body: HELLO }
  old.answers['GET /v1/leases'] = {
    body: (response) => response.end(JSON.stringify({ leases: [...leases.values()] })),
  }
  const rig = await rigOn(old)
  const mark = markOf(rig.install, rig.run, 1)
  await rig.plan()
  leases.set(mark, { mark, components: ['pay'], fault_types: ['error'], in_force: true, age_ms: 1, calls: 0, fired: 0 })
  await rig.apply(rig.steps[0]!)
  assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 1)
  old.answers['POST /v1/end'] = {
    body: (response) => {
      leases.clear()
      response.end(JSON.stringify({ ended: [mark] }))
    },
  }
  await rig.undoAll()
  assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
  await rig.close()
  await old.stop()
})
