/** What a wrapped function costs when nothing is injected, beside the bare call and, where it is at hand, the package `cruel`. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { interleave } from './measure.ts'
import type { Comparison, Series } from './measure.ts'

const SIDES = ['bare', 'off', 'zero', 'peer-off', 'peer-zero'] as const
type Side = (typeof SIDES)[number]
type Kind = 'sync' | 'async'

const ROUNDS = 7
const PROGRAM = fileURLToPath(new URL('./faults-program.ts', import.meta.url))

/** Names the folder of a built `cruel`: it is no dependency of ours, and seldom to be had from a registry. */
const PEER_VARIABLE = 'CHAOS_BENCH_CRUEL'

export async function faults(): Promise<Comparison[]> {
  const peer = await findPeer(process.env[PEER_VARIABLE])
  if (peer === undefined)
    console.log(
      `faults: the package cruel is not there, so it is left out; build it somewhere and name its folder: ${PEER_VARIABLE}=/path/to/cruel\n`,
    )
  return [...(await compare('async', peer)), ...(await compare('sync', peer))]
}

/** What is imported. A folder that was named and does not work is an error: nobody should take its absence for a result. */
async function findPeer(folder: string | undefined): Promise<string | undefined> {
  if (folder === undefined || folder === '') return (await isPeer('cruel').catch(() => false)) ? 'cruel' : undefined
  try {
    const { main = 'index.js' } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { main?: string }
    const file = pathToFileURL(resolve(folder, main)).href
    if (await isPeer(file)) return file
  } catch (error) {
    throw new Error(`${PEER_VARIABLE}=${folder} is no folder of a built cruel`, { cause: error })
  }
  throw new Error(`${PEER_VARIABLE}=${folder} has no function "cruel"`)
}

async function isPeer(name: string): Promise<boolean> {
  return 'cruel' in ((await import(name)) as object)
}

async function compare(kind: Kind, peer: string | undefined): Promise<Comparison[]> {
  const sides = SIDES.filter((side) => peer !== undefined || !side.startsWith('peer'))
  const runs = Object.fromEntries(sides.map((side) => [side, () => Promise.resolve(nanoseconds(kind, side, peer))]))
  const results = await interleave(runs, { rounds: ROUNDS, warmUp: false, budgetMs: 60_000 })
  const series = (side: Side, label: string): Series[] => {
    const values = results[side]
    return values ? [{ label, values }] : []
  }
  const compared = (title: string, ours: Side, theirs: Side, label: string): Comparison => ({
    title: `faults: ${kind} call, ${title}`,
    unit: 'ns/call',
    better: 'lower',
    ours: { label: 'chaosMonkey', values: results[ours] ?? [] },
    peers: [...series('bare', 'bare call'), ...series(theirs, label)],
    meaning:
      kind === 'async'
        ? 'Each call is awaited. ' + MEANING
        : 'A synchronous function; cruel makes it return a promise, which is awaited. ' + MEANING,
  })
  return [
    compared('nothing enabled', 'off', 'peer-off', 'cruel, enabled: false'),
    compared('enabled with probability 0', 'zero', 'peer-zero', 'cruel, fail: 0'),
  ]
}

const MEANING = 'What it costs to leave a function wrapped.'

/** In a process of its own: the compiler must see one kind of function, as in an application, not all of them in turn. */
function nanoseconds(kind: Kind, side: Side, peer = ''): number {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', './scripts/ts.mjs', PROGRAM, kind, side, peer],
    {
      encoding: 'utf8',
    },
  )
  if (status !== 0) throw new Error(`${kind} ${side}: ${stderr}`)
  return Number(stdout)
}
