/** One sequence of operations from beginning to end: then everything is healed and recovered, and nothing may be left. */
import { rmSync } from 'node:fs'
import type { Operation } from './operations.ts'
import { perform } from './operations.ts'
import { acceptLoss } from '../../src/journal/accept-loss.ts'
import { pendingSteps, placesOf } from '../../src/journal/journal.ts'
import { BOTH } from './configuration.ts'
import type { TargetConfig } from './configuration.ts'
import { Service } from './service.ts'
import { FIRST_PASSWORD } from './system.ts'
import { World } from './world.ts'
import type { Bug } from './workers.ts'

export interface Result {
  violations: string[]
  crashes: number
  runs: number
  /** Reports with something that was not undone yet. */
  withResidue: number
  /** Values of strangers that an undo left alone. */
  kept: number
  /** Runs that ended with an operator's word that what was unreadable is lost. */
  accepted: number
  /** Runs on a system that an operator had to say the new address of. */
  moved: number
  /** The same whenever the same is done: what was written, asked, and how late it is. */
  fingerprint: string
  met: ReadonlyMap<Operation['do'], number>
}

/** Ends at the first violation. */
export async function runSequence(operations: readonly Operation[], bug: Bug = {}): Promise<Result> {
  const world = await World.open(bug)
  const service = new Service(world, { locks: operations.some((op) => op.do === 'second daemon') })
  let words = { accepted: 0, moved: 0 }
  try {
    for (const op of operations) {
      await perform(op, world, service)
      if (world.violations.length > 0) break
    }
    if (world.violations.length === 0) words = await finish(world, service)
  } catch (error) {
    world.violation(`an error that nobody expects: ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
  } finally {
    for (const life of [...world.workers.values(), world.daemon]) life?.end()
    await world.clock.settle()
    if (service.folder !== undefined) rmSync(service.folder, { recursive: true, force: true })
  }
  const { violations, crashes, reports, met } = world
  const { disk, writes, calls, clock } = world
  return {
    fingerprint: [disk.changes, writes, calls, clock.monotonic, violations.length].join(),
    ...{ violations, crashes, ...words, met },
    runs: new Set(reports.map(({ run }) => run)).size,
    withResidue: reports.filter(({ residue }) => residue.length > 0).length,
    kept: Object.values(world.systems).reduce((sum, system) => sum + system.keptFrom.length, 0),
  }
}

/** Heals everything, recovers, stops, and looks. Returns how many runs needed an operator's word. */
async function finish(world: World, service: Service): Promise<{ accepted: number; moved: number }> {
  world.heal()
  await service.boot()
  await service.recover()
  await service.signal()
  await service.recover()
  // The stored configuration of a run is good for its undo, until a password is changed.
  if (world.configuration.outdated) {
    world.configuration.right()
    await service.recover()
  }
  const moved = await handOver(world, service)
  const damaged = await acceptDamage(world, service)
  for (const what of world.left) world.violation(`left behind: ${what}`)
  const state = await service.looking().open()
  await world.judgeKept(state, damaged)
  const files = [...(await world.disk.list('/state/journal')), ...(await world.disk.list('/state/secrets'))]
  const open = files.filter((name) => !name.includes('.damaged-'))
  if (open.length > 0) world.violation(`left on the disk: ${open.join(', ')}`)
  const before = [world.disk.changes, world.writes, world.calls].join()
  await service.recover()
  const after = [world.disk.changes, world.writes, world.calls].join()
  if (after !== before) world.violation('a second recovery has done something')
  return { accepted: damaged.size, moved }
}

/**
 * By design nothing is changed on another system than the run's: where its system is now, an operator has to say. So he has
 * where its address leads elsewhere, or its password was changed after its experiment was moved away from it.
 */
async function handOver(world: World, service: Service): Promise<number> {
  let moved = 0
  const state = await service.looking().open()
  for (const { run, damage, started, steps } of await service.looking().journals()) {
    if (damage.length > 0 || !started) continue
    const stored = (await state.secrets.read(run)) as TargetConfig | undefined
    const configs = [stored, world.configuration.of(started.experiment)]
    const pending = new Set(pendingSteps({ steps }).map(({ place }) => place))
    // Where a place can be reached, what is left on another keeps the run open all the same.
    const reached = placesOf(started).map(({ place, endpoint, identity }) => {
      const id = identity.parts['id']
      if (id !== 'one' && id !== 'two') return false
      const { password } = world.systems[id]
      const answers = world.at(endpoint.replace(BOTH, 'model://one')) === world.systems[id]
      const leads = (config: TargetConfig | undefined): boolean => {
        if (config === undefined) return false
        if (place === '')
          return config.password === password && config.url !== BOTH && world.at(config.url) === world.systems[id]
        return config.url === BOTH && (place === 'one' ? config.password : config.other) === password && answers
      }
      const kept = password === FIRST_PASSWORD && answers
      return kept || configs.some(leads) || (place !== '' && !pending.has(place))
    })
    if (reached.length > 0 && reached.every(Boolean))
      world.violation(`run ${run} is not undone, although its system answers`)
    for (const { place, identity } of placesOf(started)) {
      const id = identity.parts['id']
      if ((id !== 'one' && id !== 'two') || (place !== '' && !pending.has(place))) continue
      await service.recover({ run: run, url: `model://${id}`, password: world.systems[id].password })
    }
    moved++
  }
  return moved
}

/**
 * By design a journal of which something is unreadable ends with exit code 5 and waits for a person, although all that can
 * be read is undone. That may come of a disk that failed or lost power, and of nothing else; and nothing may be left.
 */
async function acceptDamage(world: World, service: Service): Promise<ReadonlySet<string>> {
  const damaged = new Set<string>()
  const state = await service.looking().open()
  for (const journal of await state.runs.list()) {
    const { run } = journal
    if (journal.damage.length === 0) world.violation(`run ${run} stays open, and its journal is whole`)
    else if (world.diskTroubles === 0) world.violation(`the journal of ${run} is damaged, and the disk never failed`)
    else {
      damaged.add(run)
      await acceptLoss(state, { run, note: 'the model', now: world.clock.now })
    }
  }
  return damaged
}
