/** Starting the built program and plain Node processes, and reading from /proc how much memory they hold. */
import { spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** The built program; `npm run bench` builds it first. */
export const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url))
/** Where packages are found from. */
const CLONE = fileURLToPath(new URL('..', import.meta.url))

/** A Node process of the same version as this one. */
export function node(args: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn(process.execPath, args, { ...options, cwd: CLONE, env: cleanEnv() })
}

/** Resolves when it has ended; throws unless its exit code is 0. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  if (child.exitCode === 0) return
  const how = child.signalCode ?? `exit code ${child.exitCode ?? '?'}`
  throw new Error(`${child.spawnargs.slice(1).join(' ')} ended with ${how}`)
}

/** Megabytes held now (`VmRSS`) or at most so far (`VmHWM`); undefined when the process is gone. */
export async function memoryOf(pid: number, what: 'VmRSS' | 'VmHWM'): Promise<number | undefined> {
  try {
    return megabytesIn(await readFile(`/proc/${pid}/status`, 'utf8'), what)
  } catch (error) {
    if (gone(error)) return undefined
    throw error
  }
}

/** From the text of a /proc/…/status; undefined for a process that has given its memory back already (a zombie). */
export function megabytesIn(status: string, what: 'VmRSS' | 'VmHWM'): number | undefined {
  const kilobytes = new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1024
}

export async function childrenOf(pid: number): Promise<number[]> {
  try {
    return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').map(Number).filter(Boolean)
  } catch (error) {
    if (gone(error)) return []
    throw error
  }
}

function gone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOENT' || code === 'ESRCH'
}

/** Without what would change how the measured processes start. */
function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NODE_|CHAOS_|STATE_DIRECTORY$)/.test(name)),
  )
}
