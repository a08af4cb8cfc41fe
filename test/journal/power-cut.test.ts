/** The core promise: whenever the power goes, every step whose apply had begun is in what survives. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applySteps } from '../../src/engine/steps.ts'
import type { PlannedStep } from '../../src/engine/plan.ts'
import type { Disk } from '../../src/journal/disk.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import { FakeWorld, fakeTarget } from '../fakes/agent.ts'
import { FakeClock } from '../fakes/clock.ts'
import { MemoryDisk, watched } from '../fakes/disk.ts'
import { started } from './helpers.ts'

const FILE = '/j/r1.jsonl'
const KEYS = ['a', 'b', 'c', 'd']

interface Moment {
  when: string
  /** Whose apply had begun, and whose facts had been promised to be durable. */
  begun: string[]
  recorded: string[]
  /** What may be left, from nothing unsynced to everything. */
  left: MemoryDisk[]
}

/** Runs four steps and looks at the disk before every operation and inside every apply. */
async function everyMoment(options: { parallel: boolean; disk?: (memory: MemoryDisk) => Disk }): Promise<Moment[]> {
  const memory = new MemoryDisk()
  const moments: Moment[] = []
  const [begun, recorded] = [new Set<string>(), new Set<string>()]
  const look = (when: string): void => {
    const kept = [
      () => Buffer.alloc(0),
      (b: Buffer) => b,
      (b: Buffer) => b.subarray(0, b.length / 2),
      (b: Buffer) => b.subarray(0, b.length - 1),
      (b: Buffer) => Buffer.alloc(b.length),
      (b: Buffer) => Buffer.concat([b.subarray(0, b.length / 3), Buffer.alloc(b.length - Math.floor(b.length / 3))]),
    ]
    const left = kept.map((part) => memory.afterPowerCut(part))
    moments.push({ when, begun: [...begun], recorded: [...recorded], left })
  }
  const disk = watched(options.disk?.(memory) ?? memory, (op) => look(`before ${op}`))
  const world = new FakeWorld()
  for (const key of KEYS) {
    world.on(`apply ${key}`, async (call) => {
      begun.add(key)
      look(`in apply ${key}`)
      await call.record({ before: world.values.get(key) })
      recorded.add(key)
      look(`after record ${key}`)
      world.values.set(key, call.step.value)
      look(`applied ${key}`)
    })
  }
  const clock = new FakeClock()
  const signal = new AbortController().signal
  const agent = await fakeTarget(world).connect({}, { install: 'abcdef', run: 'r1', clock, signal })
  const journal = await FileJournal.create(FILE, disk)
  await journal.append(started(), { durable: true })
  const steps = KEYS.map((key, i): PlannedStep => ({
    ...{
      step: i + 1,
      place: '',
      invocation: i,
      phase: 'data',
      pace: 'at_once' as const,
      sequence: 'experiment',
      version: 1,
      skill: 'fake.write',
    },
    ...{ resource: key, touches: [key], describe: key, mark: `chaos-abcdef-r1-${i + 1}`, apply_ms: 1_000 },
    data: { key, value: 'chaos' },
  }))
  const { parallel } = options
  const agentAt = () => agent
  await applySteps(steps, { agentAt, journal, clock, signal, soakMs: 0, parallel, held: [], emit: () => undefined })
  look('at the end')
  return moments
}

async function lost(moments: Moment[]): Promise<string[]> {
  const out: string[] = []
  for (const { when, begun, recorded, left } of moments) {
    for (const [variant, disk] of left.entries()) {
      const state = await readJournal(FILE, disk).catch(() => undefined)
      const steps = state ? pendingSteps(state) : []
      const data = new Map<string, object>()
      for (const step of steps) {
        const loaded = (await loadStep(FILE, step, disk)) as { key: string }
        data.set(loaded.key, loaded)
      }
      for (const key of begun) if (!data.has(key)) out.push(`${when} (${variant}): step ${key} is not in the journal`)
      for (const key of recorded) {
        if (!('before' in (data.get(key) ?? {}))) out.push(`${when} (${variant}): the facts of ${key} are lost`)
      }
      if (state && state.damage.length > 0) out.push(`${when} (${variant}): taken for damage`)
    }
  }
  return out
}

for (const parallel of [false, true]) {
  test(`at every power cut, steps whose apply had begun are pending in what survives (${parallel ? 'side by side' : 'in order'})`, async () => {
    const moments = await everyMoment({ parallel })
    assert.ok(moments.length > 20, `${moments.length} moments`)
    assert.deepEqual(moments.at(-1)?.recorded.sort(), KEYS)
    assert.deepEqual(await lost(moments), [])
  })
}

test('the search for lost steps finds them where syncing does nothing, and where the name of the file is not synced', async () => {
  const lazyBytes = (memory: MemoryDisk): Disk => ({
    ...methodsOf(memory),
    open: async (path, mode) => ({ ...(await memory.open(path, mode)), datasync: () => Promise.resolve() }),
  })
  const lazyNames = (memory: MemoryDisk): Disk => ({ ...methodsOf(memory), syncFolder: () => Promise.resolve() })
  for (const disk of [lazyBytes, lazyNames]) {
    assert.ok((await lost(await everyMoment({ parallel: false, disk }))).length > 0)
  }
})

test('a journal that is resumed after any of these power cuts goes on without damage', async () => {
  for (const { when, left } of await everyMoment({ parallel: false })) {
    for (const disk of left) {
      if (!(await readJournal(FILE, disk).catch(() => undefined))) continue
      const journal = await FileJournal.resume(FILE, disk)
      await journal.append({ type: 'undo.started', reason: '', outcome: 'aborted' }, { durable: true })
      const state = await readJournal(FILE, disk.afterPowerCut())
      assert.deepEqual([state.damage, state.tornBytes, state.undo?.outcome], [[], 0, 'aborted'], when)
    }
  }
})

function methodsOf(disk: MemoryDisk): Disk {
  return {
    open: (path, mode) => disk.open(path, mode),
    mkdir: (path) => disk.mkdir(path),
    list: (path) => disk.list(path),
    readFile: (path) => disk.readFile(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncFolder: (path) => disk.syncFolder(path),
  }
}
