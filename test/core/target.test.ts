import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { markOf, MARK_LENGTH, runMark } from '../../src/core/skill.ts'
import type { SkillSpec } from '../../src/core/skill.ts'
import { identityMismatch, machineDoubt, namesMachine } from '../../src/core/identity.ts'
import { runSkills } from '../../src/core/target.ts'
import type { AgentInspectContext, AgentRevertContext } from '../../src/core/target.ts'
import { mintRun, randomName } from '../../src/journal/names.ts'

test('identities differ in what both could read, and in nothing else', () => {
  const then = { id: 'a', address: '10.0.0.1', machine: null }
  assert.deepEqual(identityMismatch(then, { id: 'a', address: '10.0.0.1', machine: 'm' }), [])
  assert.deepEqual(identityMismatch(then, { id: 'a', address: null }), [])
  assert.deepEqual(identityMismatch(then, { id: 'a' }), [])
  assert.deepEqual(identityMismatch(then, { id: 'b', address: '10.0.0.2', machine: 'm' }), ['id', 'address'])
})

test('a machine is known by its machine id, else by an address, and by nothing else', () => {
  const named = { machine_id: 'm', address: '10.0.0.1', hostname: 'h' }
  assert.equal(namesMachine({ hostname: 'h', uuid: 'u', address_ipv4: null, machine_id: null }), false)
  assert.ok(namesMachine({ machine_id: 'm' }) && namesMachine({ address_ipv6: '::1' }))
  assert.equal(machineDoubt(named, { ...named }), undefined)
  assert.equal(machineDoubt({ address: '10.0.0.1' }, named), undefined)
  for (const clone of [
    { ...named, machine_id: 'of the clone' },
    { ...named, machine_id: null },
    { ...named, address: '10.0.0.2' },
  ])
    assert.notEqual(machineDoubt(named, clone), undefined, JSON.stringify(clone))
  assert.notEqual(machineDoubt({ hostname: 'h' }, { hostname: 'h' }), undefined)
  assert.notEqual(machineDoubt({ address_ipv4: '10.0.0.1' }, { address_ipv6: 'fd00::1' }), undefined)
})

test('marks are lower case, at most 50 characters for a million steps, and begin with their run and install', () => {
  const [install, run] = [randomName(6), mintRun(Date.UTC(2026, 10, 22))]
  const mark = markOf(install, run, 999_999)
  assert.ok(mark.length <= MARK_LENGTH, mark)
  assert.equal(mark, mark.toLowerCase())
  assert.ok(mark.startsWith(runMark(install, run)) && mark.startsWith(runMark(install, '')))
})

const double: SkillSpec<number, number, { n: number }, { n: number; by?: number }> = {
  ...{ name: 'x.double', summary: '', version: 1, scope: 'resource', phase: 'data', failsafe: 'none' },
  params: z.strictObject({ n: z.number().default(1) }),
  step: z.strictObject({ n: z.number(), by: z.number().optional() }) as never,
  plan: (ctx, { n }) =>
    Promise.resolve({ steps: [{ resource: `${ctx.target}`, touches: [], step: { n }, describe: '' }] }),
  apply: () => Promise.resolve(),
  inspect: ({ target }, { n }) => Promise.resolve({ inEffect: n * target, restored: 0, foreign: 0 }),
  revert: () => Promise.resolve(),
  byHand: () => ({ lines: [], holdsValues: false }),
}

test('plan gets the reader and params with their defaults, the others the client and the parsed step', async () => {
  const calls = runSkills(
    [double],
    () => 10,
    () => Promise.resolve(7),
  )
  const { steps } = await calls.plan('x.double', {}, {} as never)
  assert.deepEqual([steps[0]?.resource, steps[0]?.step], ['7', { n: 1 }])
  assert.equal((await calls.inspect('x.double', { n: 4 }, { version: 1 } as AgentInspectContext)).inEffect, 40)
})

test('a step that does not have its format, and a skill that is not there, are errors and not guesses', async () => {
  const calls = runSkills(
    [double],
    () => 10,
    () => Promise.resolve(7),
  )
  const inspect = (skill: string, step: unknown) => async () =>
    calls.inspect(skill, step, { version: 1 } as AgentInspectContext)
  await assert.rejects(inspect('x.double', { n: '4' }), {
    code: 'REFUSED_UNSUITABLE',
    message: /x\.double does not have its format \(n: .*\): run the version that wrote it/,
  })
  await assert.rejects(inspect('x.treble', { n: 4 }), { code: 'REFUSED_UNSUITABLE', message: /no skill x\.treble/ })
})

test('a step of an older format is read as its skill says, facts that are written for it too; one of a newer format is not', async () => {
  const triple: typeof double = {
    ...double,
    version: 2,
    readOld: ({ was, ...step }: { was?: number }, version) => ({ ...step, n: (was ?? 0) * version * 3 }),
  }
  const calls = runSkills(
    [triple],
    () => 10,
    () => Promise.resolve(7),
  )
  const inspect = (step: object, version: number) => calls.inspect('x.double', step, { version } as AgentInspectContext)
  assert.equal((await inspect({ was: 4 }, 1)).inEffect, 120)
  assert.equal((await inspect({ n: 4 }, 2)).inEffect, 40)
  await assert.rejects(inspect({ was: 4 }, 2), { code: 'REFUSED_UNSUITABLE' })
  await assert.rejects(inspect({ n: 4 }, 3), {
    code: 'REFUSED_UNSUITABLE',
    message: /does not have its format \(format 3, and this version knows 2\): run the version that wrote it/,
  })
  const written: object[] = []
  triple.revert = async ({ progress }, { n }) => progress({ by: n })
  const progress = (facts: object): Promise<void> => Promise.resolve(void written.push(facts))
  await calls.revert('x.double', { was: 4 }, { version: 1, progress } as AgentRevertContext)
  assert.deepEqual(written, [{ by: 12 }])
})
