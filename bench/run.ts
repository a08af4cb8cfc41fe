/**
 * Runs the benchmarks, one after the other, and prints what they found.
 *
 *   npm run bench [-- NAME…]
 */
import { availableParallelism } from 'node:os'
import { describe } from './measure.ts'
import type { Comparison } from './measure.ts'

/** Each loads only what it measures. */
const BENCHMARKS: Record<string, () => Promise<Comparison[]>> = {
  journal: async () => (await import('./journal.ts')).journal(),
  'start-up': async () => (await import('./start-up.ts')).startUp(),
  runs: async () => (await import('./runs.ts')).runs(),
  'insert-load': async () => (await import('./insert-load.ts')).insertLoad(),
  faults: async () => (await import('./faults.ts')).faults(),
  memory: async () => (await import('./memory.ts')).memory(),
  schedules: async () => (await import('./schedules.ts')).schedules(),
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(BENCHMARKS)
const unknown = names.filter((name) => !(name in BENCHMARKS))
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there is ${Object.keys(BENCHMARKS).join(', ')}`)
  process.exitCode = 2
} else {
  console.log(
    `Node ${process.version} on ${process.platform}, ${availableParallelism()} cores; medians (least–greatest)\n`,
  )
  for (const name of names) await runOne(name)
}

/** One that cannot run here must not keep the others from running. */
async function runOne(name: string): Promise<void> {
  try {
    for (const comparison of (await BENCHMARKS[name]?.()) ?? []) console.log(describe(comparison))
  } catch (error) {
    console.error(`${name}: failed:`, error)
    process.exitCode = 1
  }
}
