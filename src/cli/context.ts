/** What every command gets: the targets, where it runs, and where it may write. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Filled } from '../core/filled.ts'
import type { Target } from '../core/target.ts'
import { refuseExposed } from '../journal/exposed.ts'

export interface Context {
  /** Loaded only by the commands that need it: `--help` must not pay for it. */
  targets(): Promise<readonly Target[]>
  /** The script that workers are started with. */
  main: string
  version: string
  env: NodeJS.ProcessEnv
  out(text: string): void
  err(text: string): void
  tty: boolean
  /** Of the terminal; absent where there is none. */
  columns?: number | undefined
  /** From now on `out` and `err` show the expressions instead of these values. */
  learn?(filled: readonly Filled[]): void
}

/**
 * `--state-dir`, `CHAOS_STATE_DIR`, systemd's `STATE_DIRECTORY`, else the XDG state folder; absolute. Throws STATE_EXPOSED
 * where others could change what is in it.
 */
export function stateDirOf(option: string | undefined, env: NodeJS.ProcessEnv): string {
  const named = [option, env['CHAOS_STATE_DIR'], env['STATE_DIRECTORY']?.split(':')[0]].find(
    (dir) => dir !== undefined && dir !== '',
  )
  const stateDir = resolve(
    named ?? join(env['XDG_STATE_HOME'] ?? join(env['HOME'] ?? homedir(), '.local', 'state'), 'chaos-agents'),
  )
  refuseExposed(stateDir)
  return stateDir
}

/** Columns aligned with two spaces between them; the last one runs on. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map((row) => `${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  ')}\n`)
    .join('')
}

export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
