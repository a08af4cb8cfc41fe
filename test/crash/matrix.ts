/**
 * The crash matrix of one skill: a first run, not killed, names every point there is to die at; then one run dies at each
 * of them, and recoveries die at theirs. After each, the target must be as before and the state folder empty. After some
 * deaths strangers replace what the target is made of: then it must be as they made it.
 */
import { createHash } from 'node:crypto'
import type { Experiment } from '../../src/core/experiment.ts'
import { seededRandom } from '../../src/core/random.ts'
import type { Random } from '../../src/core/random.ts'
import type { Crash, Crashes, Kills } from './cycle.ts'
import type { World } from './worlds.ts'

export interface Amount {
  /** Runs killed at most; the first ones are those that die with something at stake. */
  kills: number
  /** Recoveries killed at most. */
  doubles: number
  /** Runs killed at most, between whose death and recovery the target is replaced. */
  replaced: number
  /** Begins nothing after it, `Date.now()`, once as many as `least` were killed: fewer would say nothing. */
  until: number
  least: number
  seed: string
}

export interface Matrix {
  skill: string
  points: number
  killed: number
  doublePoints: number
  doubles: number
  replaced: number
  /** Points that were not passed when it was their turn (a poll that needed a round less). */
  missed: number
  /** What was left, with where it died; the promise is that there is none. */
  residue: string[]
}

export async function crashMatrix(skill: string, world: World, crashes: Crashes, amount: Amount): Promise<Matrix> {
  const experiment = experimentOf(skill, world)
  let picture = await world.picture()
  const result: Matrix = {
    ...{ skill, points: 0, killed: 0, doublePoints: 0, doubles: 0, replaced: 0, missed: 0 },
    residue: [],
  }
  const random = seededRandom(`${amount.seed}/${skill}`)
  const die = async (kills: Kills, wanted: number): Promise<Crash> => {
    const crash = await crashes.crash(experiment, kills)
    const left = [...crash.left, ...(await picture.residue())]
    const { meanwhile, ...points } = kills
    const where = Object.entries(points).map(([kind, at]) => `${kind} at ${at}`)
    const then = meanwhile === undefined ? '' : ', then replaced'
    if (left.length > 0)
      result.residue.push(`${skill}, killed in ${where.join(' and ') || 'nothing'}${then}: ${left.join('; ')}`)
    if (crash.hits < wanted) result.missed++
    return crash
  }

  const trace = await die({}, 0)
  if (trace.report.outcome !== 'completed')
    throw new Error(
      `${skill} cannot be killed: its run is ${trace.report.outcome} (${trace.report.reason ?? ''}). Give it params in worlds.ts`,
    )
  const points = trace.passed.run
  result.points = points.length
  /** Recoveries that pass the same points are one situation; each is to be killed at every of its points once. */
  const situations = new Map<string, { after: string; points: string[] }>()
  const doubled = new Set<string>()
  const alternate =
    amount.doubles === Infinity
      ? Infinity
      : Math.max(1, Math.floor(Math.min(points.length, amount.kills) / amount.doubles))
  for (const [i, run] of order(points, random).slice(0, amount.kills).entries()) {
    if (Date.now() > amount.until && result.killed >= amount.least) break
    const crash = await die({ run }, 1)
    result.killed += crash.hits
    const { recover } = crash.passed
    if (recover.length === 0) continue
    const key = createHash('sha256').update(recover.join('\n')).digest('hex')
    if (!situations.has(key)) situations.set(key, { after: run, points: recover })
    if (i % alternate !== alternate - 1 || result.doubles >= amount.doubles) continue
    const at = recover[random.int(recover.length)]!
    doubled.add(`${key} ${at}`)
    result.doubles += (await die({ run, recover: at }, 2)).hits === 2 ? 1 : 0
  }
  // What the killed run has begun may be in effect: those points come first.
  const meanwhile = async (): Promise<void> => {
    await world.replace()
    picture = await world.picture()
  }
  for (const run of order(points, random).slice(0, amount.replaced))
    result.replaced += (await die({ run, meanwhile }, 1)).hits
  for (const [key, { after, points }] of situations) {
    result.doublePoints += points.length
    if (amount.doubles !== Infinity) continue
    for (const recover of points) {
      if (doubled.has(`${key} ${recover}`) || Date.now() > amount.until) continue
      result.doubles += (await die({ run: after, recover }, 2)).hits === 2 ? 1 : 0
    }
  }
  return result
}

/** Shuffled, but those after the first journal was begun come first: before, nothing can be left but sessions. */
function order(points: readonly string[], random: Random): string[] {
  const begin = points.findIndex((point) => point.startsWith('journal create'))
  const shuffled = (part: string[]): string[] =>
    part
      .map((p) => [random.next(), p] as const)
      .sort((a, b) => a[0] - b[0])
      .map(([, p]) => p)
  return [...shuffled(points.slice(Math.max(0, begin))), ...shuffled(points.slice(0, Math.max(0, begin)))]
}

export function experimentOf(skill: string, world: Omit<World, 'picture' | 'replace' | 'close'>): Experiment {
  return {
    name: `kill ${skill}`,
    target: world.target,
    target_config: world.target_config,
    skills: [{ skill_name: skill, params: world.params(skill), count: 1, spread: false }],
    duration_ms: world.soakMs(skill),
    parallel: false,
    resource_filters: [],
    safety: {
      limits: { rows: 1000, resources: 50, percent: 100, duration_ms: 60_000 },
      ...{ allow: [], protected: [], failsafe: 'warn' },
    },
  }
}

export function lineOf(m: Matrix): string {
  const doubles = `${m.doubles} double crashes (of ${m.doublePoints} points seen)`
  return `${m.skill}: ${m.points} kill points, ${m.killed} hit, ${doubles}, ${m.replaced} replaced meanwhile, ${m.missed} not reached, residue ${m.residue.length}`
}
