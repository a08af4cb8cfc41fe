/** The sweep against an agent in memory: whose marks it ends, whose it must not, and that it never stops an undo. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Agent, Leftover } from '../../src/core/target.ts'
import { sweep } from '../../src/engine/sweep.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { makeRig } from './helpers.ts'

const left = (mark: string, age_ms?: number): Leftover => ({
  ...{ mark, kind: 'session', describe: mark },
  ...(age_ms === undefined ? {} : { age_ms }),
})

/** `stays`: what no quiesce ends. */
function agentWith(leftovers: Leftover[], stays = ''): { agent: Agent; ended: string[] } {
  const ended: string[] = []
  const isThere = ({ mark }: Leftover): boolean => mark === stays || !ended.some((run) => mark.includes(`-${run}-`))
  const agent = {
    sweep: () => Promise.resolve(leftovers.filter(isThere)),
    quiesce: (run: string) => Promise.resolve(void ended.push(run)),
  } as unknown as Agent
  return { agent, ended }
}

const signal = new AbortController().signal

test('only what is ours, over and old enough is ended, each run once', async () => {
  const { agent, ended } = agentWith([
    left('chaos-mine1-old-1', 90_000),
    left('chaos-mine1-old-2', 90_000),
    left('chaos-mine1-unknownage-1'),
    left('chaos-mine1-young-1', 10),
    left('chaos-mine1-live-1', 90_000),
    left('chaos-other-old-1', 90_000),
    left('chaos-dashboard', 90_000),
  ])
  const isLive = (run: string): Promise<boolean> => Promise.resolve(run === 'live')
  const found = await sweep({ agent, remove: 'mine1', isLive, olderThanMs: 60_000, signal })
  assert.deepEqual(ended, ['old', 'unknownage'])
  assert.deepEqual(
    found.filter((one) => one.removed).map((one) => one.mark),
    ['chaos-mine1-old-1', 'chaos-mine1-old-2', 'chaos-mine1-unknownage-1'],
  )
  assert.ok(!found.some((one) => one.mark === 'chaos-dashboard'), 'what only looks like a mark is not listed')
})

test('what cannot be shown to be ours is named like ours and stays, and the sweep does not say that it has ended it', async () => {
  const { agent, ended } = agentWith([left('chaos-mine1-old-1'), left('chaos-mine1-old-2')], 'chaos-mine1-old-2')
  const isLive = (): Promise<boolean> => Promise.resolve(false)
  const found = await sweep({ agent, remove: 'mine1', isLive, olderThanMs: 0, signal })
  assert.deepEqual(ended, ['old'])
  assert.deepEqual(
    found.map((one) => one.removed),
    [true, false],
  )
})

test('without an install to remove for, nothing is ended', async () => {
  const { agent, ended } = agentWith([left('chaos-mine1-old-1', 90_000)])
  await sweep({ agent, isLive: () => Promise.resolve(false), olderThanMs: 0, signal })
  assert.deepEqual(ended, [])
})

test('a recovery that cannot look for what older runs left undoes its own run all the same, and says so', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  rig.world.on('revert a', () => Promise.reject(new Error('not now')))
  await rig.run(fakeExperiment([{ params: { keys: ['a'] } }]))
  rig.world.off('revert a')
  // Nobody knows what is live.
  const isLive = (): Promise<boolean> => Promise.reject(new Error('unreadable'))
  rig.world.leftovers = [left('chaos-inst1-older-1', 90_000)]
  const report = await rig.recover({ isLive })
  assert.deepEqual(report.residue, [])
  const warned = rig.events.flatMap((event) => (event.type === 'run.warning' ? [event.message] : []))
  assert.ok(
    warned.some((message) => message.includes('unreadable')),
    warned.join(),
  )
})

test('a recovery ends what older runs of its install left before it undoes its own', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  rig.world.on('revert a', () => Promise.reject(new Error('not now')))
  await rig.run(fakeExperiment([{ params: { keys: ['a'] } }]))
  rig.world.off('revert a')
  rig.world.leftovers = [
    left(`chaos-${rig.state.install}-older-1`, 90_000),
    left(`chaos-${rig.state.install}-r1-1`, 90_000),
  ]
  const report = await rig.recover({ isLive: () => Promise.resolve(false) })
  assert.deepEqual(report.residue, [])
  const warned = rig.events.flatMap((event) => (event.type === 'run.warning' ? [event.message] : []))
  assert.deepEqual(warned.filter((message) => message.startsWith('ended')).length, 1, warned.join())
})
