/** The journal on a simulated disk that loses power, fails or fills up at every operation: nothing may be left behind. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Experiment } from '../../src/core/experiment.ts'
import { seededRandom } from '../../src/core/random.ts'
import type { Report } from '../../src/core/report.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { SimulatedDisk } from '../fakes/simulated-disk.ts'
import type { Fault, Frozen, Survival } from '../fakes/simulated-disk.ts'
import { crashesAt } from './crash-states.ts'
import { effectsOf, prepare, recoverOn, runOn, START, WatchedWorld } from './disk-world.ts'

/** Crash states at least; more where somebody has the time. */
const STATES = Number(process.env['CHAOS_CRASH_STATES'] ?? 50_000)
const SEED = process.env['CHAOS_SEED'] ?? 'disk'

interface Scenario {
  name: string
  /** What is done on the disk, with the same result every time. */
  work(disk: SimulatedDisk, world: WatchedWorld): Promise<unknown>
}

/** Disk and target at one moment. */
interface Moment {
  frozen: Frozen
  values: Map<string, string>
}

interface Tally {
  states: number
  /** Nothing is left, but a person is asked to look: more than what was not synced seems to be missing. */
  damaged: number
  violations: string[]
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
async function momentsOf(work: Scenario['work'], disk: SimulatedDisk, world: WatchedWorld): Promise<Moment[]> {
  const moments: Moment[] = []
  const look = (): void => void moments.push({ frozen: disk.freeze(), values: new Map(world.values) })
  disk.before = look
  world.look = look
  await work(disk, world)
  look()
  disk.before = () => undefined
  world.look = () => undefined
  return moments
}

class Search {
  readonly tally: Tally = { states: 0, damaged: 0, violations: [] }
  readonly #seen = new Set<string>()

  /** The power goes: what comes up is recovered, and looked at. */
  async crash(moment: Moment, survival: Survival, what: string): Promise<void> {
    await this.recover(SimulatedDisk.after(moment.frozen, survival), moment.values, what)
  }

  async recover(disk: SimulatedDisk, values: Map<string, string>, what: string): Promise<void> {
    if (!this.#isNew(disk, values)) return
    this.tally.states++
    const world = new WatchedWorld(Object.fromEntries(values))
    try {
      const { open } = await recoverOn(disk, world)
      this.#judge(
        await leftOn(disk, world),
        open.map((o) => o.reason),
        what,
      )
      const before = disk.changes
      await recoverOn(disk, world)
      if (disk.changes !== before && open.length === 0) this.violation(what, 'a second recovery wrote something')
    } catch (error) {
      this.violation(what, `the recovery threw: ${String(error)}`)
    }
  }

  violation(what: string, why: string): void {
    this.tally.violations.push(`${what}: ${why}`)
  }

  #judge(left: string[], open: string[], what: string): void {
    const effects = left.filter((l) => !l.startsWith('/'))
    if (effects.length > 0) this.violation(what, `left on the target: ${effects.join(', ')} (open: ${open.join('; ')})`)
    else if (open.length > 0) this.tally.damaged++
    else if (left.length > 0) this.violation(what, `left on the disk: ${left.join(', ')}`)
    if (open.length > 0 && process.env['CHAOS_SHOW'] !== undefined) console.log(what, open)
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

/** Changes of the target, and files of runs: both must be gone. */
async function leftOn(disk: SimulatedDisk, world: WatchedWorld): Promise<string[]> {
  const files = [...(await disk.list('/state/journal')), ...(await disk.list('/state/secrets'))]
  return [...effectsOf(world), ...files.map((name) => `/${name}`)]
}

test('a power cut at every operation leaves nothing behind', async (t) => {
  const search = new Search()
  for (const { name, work } of SCENARIOS) {
    const { disk, world } = await fresh()
    const moments = await momentsOf(work, disk, world)
    for (const [i, moment] of moments.entries()) {
      const random = seededRandom(`${SEED}/${name}/${i}`)
      for (const crash of crashesAt(moment.frozen, random))
        await search.crash(moment, crash, `${name}, moment ${i}, ${crash.how}`)
    }
    t.diagnostic(`${name}: ${moments.length} moments, ${search.tally.states} states so far`)
  }
  report(t, search.tally)
})

function report(t: { diagnostic(text: string): void }, { states, damaged, violations }: Tally): void {
  t.diagnostic(`${states} crash states, ${violations.length} violations, ${damaged} taken for damage`)
  assert.deepEqual(violations.slice(0, 5), [])
}
