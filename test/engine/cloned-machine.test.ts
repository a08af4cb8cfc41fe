/** A machine that was cloned with its state folder has the name, the paths and the journal of the first: it is not that one. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Identity } from '../../src/core/identity.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { makeRig } from './helpers.ts'
import type { Rig } from './helpers.ts'

const LOCAL = fakeExperiment([{ skill_name: 'fake.local', params: { keys: ['a'] } }])

/** A run of `skill` on a system that says `parts` of itself; its process died in the soak. */
async function died(t: TestContext, parts: Identity['parts'], skill_name = 'fake.local'): Promise<Rig> {
  const world = new FakeWorld({ a: '1' })
  world.parts = parts
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([{ skill_name, params: { keys: ['a'] } }], { duration_ms: 60_000 }))
  await rig.clock.untilSleeping(60_000)
  const journal = readFileSync(rig.file)
  const changed = world.state
  rig.clock.advance(60_000)
  await running
  writeFileSync(rig.file, journal)
  for (const [key, value] of Object.entries(changed)) world.values.set(key, value)
  await rig.state.secrets.keep('r1', {})
  assert.notDeepEqual(world.state, { a: '1' })
  return rig
}

test('a cloned machine with the same host name is not undone: its machine id differs, or cannot be read any more', async (t) => {
  const first = { hostname: 'shop', address: '10.0.0.1', machine_id: 'first' }
  for (const clone of [
    { ...first, machine_id: 'clone' },
    { ...first, machine_id: null },
    { hostname: 'shop', address: '10.0.0.1' },
  ]) {
    const rig = await died(t, first)
    const broken = rig.world.state
    rig.world.parts = clone
    await assert.rejects(rig.recover(), { code: 'IDENTITY_MISMATCH', exitCode: 4, message: /machine.id/ })
    assert.deepEqual(rig.world.state, broken)
    rig.world.parts = first
    assert.deepEqual([(await rig.recover()).residue, rig.world.state], [[], { a: '1' }])
  }
})

test('where a journal has no machine id one equal address shows the machine, and a host name shows nothing', async (t) => {
  const rig = await died(t, { hostname: 'shop', address: '10.0.0.1' })
  rig.world.parts = { hostname: 'shop' }
  await assert.rejects(rig.recover(), { code: 'IDENTITY_MISMATCH', message: /neither an address nor a machine id/ })
  rig.world.parts = { hostname: 'shop', address: '10.0.0.1', machine_id: 'now it says' }
  assert.deepEqual([(await rig.recover()).residue, rig.world.state], [[], { a: '1' }])
})

test('an operator may say that it is the same machine', async (t) => {
  const rig = await died(t, { address: '10.0.0.1', machine_id: 'first' })
  rig.world.parts = { address: '10.0.0.1', machine_id: null }
  assert.deepEqual((await rig.recover({ handOver: { accept_identity: true } })).residue, [])
  assert.deepEqual(rig.world.state, { a: '1' })
})

test('what is not local to a machine is undone without a machine id, as ever', async (t) => {
  const rig = await died(t, { id: 'one' }, 'fake.set')
  assert.deepEqual([(await rig.recover()).residue, rig.world.state], [[], { a: '1' }])
})

test('what is local to a machine is not begun where nothing shows which machine it is', async (t) => {
  for (const parts of [{ hostname: 'shop' }, { hostname: 'shop', address_ipv4: null, machine_id: null }]) {
    const world = new FakeWorld({ a: '1' })
    world.parts = parts
    const report = await (await makeRig(t, world)).run(LOCAL)
    assert.deepEqual([report.outcome, report.code, report.exit_code], ['refused', 'REFUSED_UNSUITABLE', 3])
    assert.match(report.reason ?? '', /fake\.local changes what is local to one machine/)
    assert.deepEqual([world.state, world.log.some((call) => call.startsWith('apply'))], [{ a: '1' }, false])
  }
})
