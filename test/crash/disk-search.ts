/**
 * The search for crash states that leave something behind: `disk-search.ts cuts|faults|lies STATES SEED`. Prints one line
 * of JSON. A process of its own, because the hooks of the test runner would double the time.
 */
import { createHash } from 'node:crypto'
import { seededRandom } from '../../src/core/random.ts'
import { isFull } from '../../src/journal/disk.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import type { RunState } from '../../src/journal/journal.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { fakeExperiment, fakeTarget } from '../fakes/agent.ts'
import { diskError } from '../fakes/disk.ts'
import { altered, SimulatedDisk } from '../fakes/simulated-disk.ts'
import type { Fault, Frozen, Survival } from '../fakes/simulated-disk.ts'
import { crashesAt, someCrashesAt } from './crash-states.ts'
import { effectsOf, prepare, recoverOn, runOn, START, WatchedWorld } from './disk-world.ts'

export interface Tally {
  states: number
  /** Times that a run was carried to its end on a disk in trouble. */
  runs: number
  /** Nothing is left on the target, but a person is asked to look: something that was not synced reads as if it were lost. */
  damaged: number
  violations: string[]
}

interface Scenario {
  name: string
  work(disk: SimulatedDisk, world: WatchedWorld): Promise<unknown>
}

/** Disk and target at one moment. */
interface Moment {
  frozen: Frozen
  values: Map<string, string>
}

const abc = fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }])
const sideBySide = fakeExperiment(
  ['a', 'b', 'c', 'd'].map((key) => ({ params: { keys: [key] } })),
  { parallel: true },
)

const SCENARIOS: Scenario[] = [
  { name: 'three steps, one after the other', work: (disk, world) => runOn(disk, world, 'r1', abc) },
  { name: 'four steps, side by side', work: (disk, world) => runOn(disk, world, 'r1', sideBySide) },
  {
    name: 'two places, the undo of one of which does not succeed at first, and a recovery',
    async work(disk, world) {
      world.places = ['p', 'q']
      world.on('p revert a', () => Promise.resolve())
      await runOn(disk, world, 'r1', fakeExperiment([{ params: { keys: ['a'] } }]))
      world.off('p revert a')
      await recoverOn(disk, world)
      world.places = []
    },
  },
  {
    name: 'an undo that does not succeed at first, and a recovery',
    async work(disk, world) {
      world.on('revert b', () => Promise.resolve())
      await runOn(disk, world, 'r1', abc)
      world.off('revert b')
      await recoverOn(disk, world)
    },
  },
  {
    name: 'a run whose second step fails half-way, and another run',
    async work(disk, world) {
      world.on('apply b', async ({ go }) => {
        await go()
        throw new Error('connection reset')
      })
      await runOn(disk, world, 'r1', abc)
      world.off('apply b')
      await runOn(disk, world, 'r2', fakeExperiment([{ params: { keys: ['d', 'e'] } }]))
    },
  },
]

async function fresh(): Promise<{ disk: SimulatedDisk; world: WatchedWorld }> {
  const disk = new SimulatedDisk()
  await prepare(disk)
  return { disk, world: new WatchedWorld(START) }
}

/** Does the work and looks at disk and target before every operation on either. */
async function momentsOf({ work }: Scenario, disk: SimulatedDisk, world: WatchedWorld): Promise<Moment[]> {
  const moments: Moment[] = []
  const look = (): void => void moments.push({ frozen: disk.freeze(), values: new Map(world.values) })
  const before = disk.before
  disk.before = (op, path) => {
    look()
    before(op, path)
  }
  world.look = look
  // A command that cannot even begin has changed nothing, which is looked at like everything else.
  await work(disk, world).catch(() => undefined)
  look()
  return moments
}

class Search {
  readonly tally: Tally = { states: 0, runs: 0, damaged: 0, violations: [] }
  readonly #seen = new Set<string>()
  readonly #world = new WatchedWorld()
  readonly #target = fakeTarget(this.#world)

  /** The power goes: what comes up is recovered, and looked at. */
  async crash(moment: Moment, survival: Survival, what: string): Promise<void> {
    await this.recover(SimulatedDisk.after(moment.frozen, survival), moment.values, what)
  }

  async recover(disk: SimulatedDisk, values: Map<string, string>, what: string): Promise<void> {
    if (!this.#isNew(disk, values)) return
    this.tally.states++
    const world = this.#world
    world.values.clear()
    world.log.length = 0
    for (const [key, value] of values) world.values.set(key, value)
    try {
      const { open } = await recoverOn(disk, world, this.#target)
      await this.#judge(disk, open.length > 0, what)
      const before = disk.changes
      if (open.length > 0) return
      await recoverOn(disk, world, this.#target)
      if (disk.changes !== before) this.violation(what, 'a second recovery wrote something')
    } catch (error) {
      this.violation(what, `the recovery threw: ${String(error)}`)
    }
  }

  violation(what: string, why: string): void {
    this.tally.violations.push(`${what}: ${why}`)
  }

  async #judge(disk: SimulatedDisk, open: boolean, what: string): Promise<void> {
    const effects = effectsOf(this.#world)
    const files = await filesOf(disk)
    if (effects.length > 0) this.violation(what, `left on the target: ${effects.join(', ')}`)
    else if (open) this.tally.damaged++
    else if (files.length > 0) this.violation(what, `left on the disk: ${files.join(', ')}`)
  }

  #isNew(disk: SimulatedDisk, values: Map<string, string>): boolean {
    const hash = createHash('sha1')
    for (const { path, content } of disk.entries()) hash.update(path).update(path.endsWith('ballast') ? '' : content)
    const key = hash.update(JSON.stringify([...values])).digest('base64')
    const isNew = !this.#seen.has(key)
    this.#seen.add(key)
    return isNew
  }
}

/** Files of runs, which must all be gone. */
async function filesOf(disk: SimulatedDisk): Promise<string[]> {
  return [...(await disk.list('/state/journal')), ...(await disk.list('/state/secrets'))]
}

/** Runs that are not over. */
async function openOn(disk: SimulatedDisk): Promise<string[]> {
  const state = await openStateDir('/state', { disk })
  const isOver = (j: RunState): boolean =>
    pendingSteps(j).length === 0 && (j.finished !== undefined || (!j.started && j.damage.length === 0))
  return (await state.runs.list()).filter((j) => !isOver(j)).map((j) => j.run)
}

/** The power goes at every operation. */
async function cuts(search: Search, seed: string): Promise<void> {
  for (const scenario of SCENARIOS) {
    const { disk, world } = await fresh()
    const moments = await momentsOf(scenario, disk, world)
    if (effectsOf(world).length > 0) search.violation(scenario.name, 'not even undone without any trouble')
    for (const [i, moment] of moments.entries()) {
      const random = seededRandom(`${seed}/${scenario.name}/${i}`)
      for (const crash of crashesAt(moment.frozen, random))
        await search.crash(moment, crash, `${scenario.name}, moment ${i}, ${crash.how}`)
    }
  }
}

/** What can happen to a disk at its nth operation. */
interface Trouble {
  name: string
  of: Fault['of']
  arm(disk: SimulatedDisk, nth: number): void
  /** Whether every run is over at the end all the same: what is put by for undos is enough. */
  ends: boolean
}

const failing = (code: string, more: Partial<Fault> = {}): Trouble => {
  const { of = 'changes', forever = false, short } = more
  return {
    name: `${code}${short === undefined ? '' : ' after a short write'}${of === 'reads' ? ' of a read' : ''} ${forever ? 'from then on' : 'once'}`,
    of,
    arm: (disk, after) => (disk.fault = { of, after, code, forever, ...(short === undefined ? {} : { short }) }),
    ends: !forever && isFull(diskError(code)),
  }
}

const TROUBLES: Trouble[] = [
  failing('EIO'),
  failing('EIO', { forever: true }),
  failing('EIO', { short: 100 }),
  failing('ENOSPC'),
  failing('ENOSPC', { forever: true }),
  failing('ENOSPC', { short: 100 }),
  failing('ENOSPC', { short: 10, forever: true }),
  failing('EDQUOT'),
  failing('EROFS', { forever: true }),
  failing('EIO', { of: 'reads' }),
  failing('EIO', { of: 'reads', forever: true }),
  {
    name: 'the disk is full from then on',
    of: 'changes',
    arm(disk, nth) {
      let seen = 0
      disk.before = () => {
        if (seen++ === nth) disk.capacity = disk.used
      }
    },
    ends: true,
  },
]

/** Every operation fails, in every way, once or for ever; and the power goes on top of it. */
async function faults(search: Search, seed: string, states: number): Promise<void> {
  const each = states / SCENARIOS.length / TROUBLES.length
  for (const scenario of SCENARIOS) {
    const counted = await fresh()
    await momentsOf(scenario, counted.disk, counted.world)
    for (const trouble of TROUBLES) {
      const operations = counted.disk[trouble.of]
      const perOperation = Math.max(1, Math.round(each / operations / 3))
      for (let nth = 0; nth < operations; nth++) {
        await trial(search, scenario, trouble, nth, perOperation, `${seed}/${scenario.name}/${trouble.name}/${nth}`)
      }
    }
  }
}

async function trial(
  search: Search,
  scenario: Scenario,
  trouble: Trouble,
  nth: number,
  moments: number,
  seed: string,
): Promise<void> {
  const what = `${scenario.name}, operation ${nth}: ${trouble.name}`
  const { disk, world } = await fresh()
  const random = seededRandom(seed)
  trouble.arm(disk, nth + disk[trouble.of])
  const all = await momentsOf(scenario, disk, world)
  search.tally.runs++
  disk.fault = undefined
  disk.capacity = Infinity
  const left = effectsOf(world)
  // What an error of a read keeps from being undone is named, and undone later.
  if (left.length > 0 && trouble.of === 'changes')
    search.violation(what, `not undone by the run itself: ${left.join(', ')}`)
  const open = await openOn(disk)
  if (trouble.ends && open.length > 0) search.violation(what, `still open: ${open.join(', ')}`)
  const last = all.at(-1)
  for (const moment of [...random.shuffle(all).slice(0, moments), ...(last ? [last] : [])]) {
    const i = all.indexOf(moment)
    for (const crash of someCrashesAt(random.fork(`${i}`)))
      await search.crash(moment, crash, `${what}, then a power cut at moment ${i}, ${crash.how}`)
  }
  const everything: Survival = { name: () => true, content: (durable, pending) => pending.reduce(altered, durable) }
  if (last) await search.crash(last, everything, `${what}, then a new start`)
}

/** A disk whose syncs do nothing must be found out. */
async function lies(search: Search, lazy: 'bytes' | 'names'): Promise<void> {
  for (const scenario of SCENARIOS) {
    const { disk, world } = await fresh()
    disk.lazy = lazy
    for (const moment of await momentsOf(scenario, disk, world))
      for (const crash of someCrashesAt(seededRandom(lazy))) await search.crash(moment, crash, scenario.name)
  }
}

const [mode = '', states = '', seed = ''] = process.argv.slice(2)
const search = new Search()
if (mode === 'cuts') await cuts(search, seed)
else if (mode === 'faults') await faults(search, seed, Number(states))
else await lies(search, mode === 'bytes' ? 'bytes' : 'names')
console.log(JSON.stringify(search.tally))
