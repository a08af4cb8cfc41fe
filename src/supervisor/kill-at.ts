/** Kills the worker of a run when its journal has so many records: from outside, as the kernel would, without its help. */
import { readFile } from 'node:fs/promises'
import { systemClock } from '../core/clock.ts'
import { until } from '../core/until.ts'
import type { Runs } from '../journal/runs.ts'
import { peekHolder } from './lock.ts'

/** How closely the file is watched: records are a disk sync apart. */
const LOOK_MS = 1

/** Resolves true when it has killed it; false when `over` came first. */
export async function killAtRecord(
  { path, runs }: { path: string; runs: Runs },
  run: string,
  record: number,
  over: AbortSignal,
): Promise<boolean> {
  const file = runs.where(run)
  const reached = async (): Promise<boolean> => (await recordsIn(file)) >= record
  const asked = { clock: systemClock, signal: over, pauses: [LOOK_MS, LOOK_MS] as const }
  return until(reached, asked).then(
    () => killWorker(path, run),
    () => false,
  )
}

async function recordsIn(file: string): Promise<number> {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0))
  let records = 0
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) records++
  return records
}

async function killWorker(stateDir: string, run: string): Promise<boolean> {
  const worker = (await peekHolder(stateDir))?.workers.find((w) => w.run === run)
  try {
    return worker !== undefined && process.kill(worker.pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
    return false
  }
}
