/** What a wrapped function costs when nothing is injected, beside the bare call and, where it is installed, the package `cruel`. */
import { fileURLToPath } from 'node:url'
import { spawnSync } from 'node:child_process'
import { interleave } from './measure.ts'
import type { Comparison, Series } from './measure.ts'

const SIDES = ['bare', 'off', 'zero', 'peer-off', 'peer-zero'] as const
type Side = (typeof SIDES)[number]
type Kind = 'sync' | 'async'

const ROUNDS = 7
const PROGRAM = fileURLToPath(new URL('./faults-program.ts', import.meta.url))

export async function faults(): Promise<Comparison[]> {
  const hasPeer = await isInstalled('cruel')
  if (!hasPeer) console.log('faults: the package cruel (1.1.1) is not installed here, so it is left out\n')
  return [...(await compare('async', hasPeer)), ...(await compare('sync', false))]
}

async function compare(kind: Kind, hasPeer: boolean): Promise<Comparison[]> {
  const sides = SIDES.filter((side) => hasPeer || !side.startsWith('peer'))
  const runs = Object.fromEntries(sides.map((side) => [side, () => Promise.resolve(nanoseconds(kind, side))]))
  const results = await interleave(runs, { rounds: ROUNDS, warmUp: false, budgetMs: 60_000 })
  const series = (side: Side, label: string): Series[] => {
    const values = results[side]
    return values ? [{ label, values }] : []
  }
  const compared = (title: string, ours: Side, peer: Side, label: string): Comparison => ({
    title: `faults: ${kind} call, ${title}`,
    unit: 'ns/call',
    better: 'lower',
    ours: { label: 'chaosMonkey', values: results[ours] ?? [] },
    peers: [...series('bare', 'bare call'), ...series(peer, label)],
    meaning:
      kind === 'async'
        ? 'Each call is awaited. ' + MEANING
        : 'A synchronous function; cruel would make it return a promise. ' + MEANING,
  })
  return [
    compared('nothing enabled', 'off', 'peer-off', 'cruel, enabled: false'),
    compared('enabled with probability 0', 'zero', 'peer-zero', 'cruel, fail: 0'),
  ]
}

const MEANING = 'What it costs to leave a function wrapped.'

/** In a process of its own: the compiler must see one kind of function, as in an application, not all of them in turn. */
function nanoseconds(kind: Kind, side: Side): number {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', PROGRAM, kind, side], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${kind} ${side}: ${stderr}`)
  return Number(stdout)
}

async function isInstalled(name: string): Promise<boolean> {
  return import(name).then(
    () => true,
    () => false,
  )
}
