/** `chaos digest`: what ran, what did not and why, what took longer to undo than before, what is pending. */
import { parseDuration } from '../core/duration.ts'
import { ConfigError, ERROR_CODES } from '../core/errors.ts'
import { readDigest } from '../daemon/digest.ts'
import { isAlive, readHolder } from '../supervisor/lock.ts'
import { slotLog } from '../journal/due-log.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import { digestLines } from '../observe/digest.ts'
import { paintFor } from '../observe/paint.ts'
import { json, stateDirOf } from './context.ts'
import type { Context } from './context.ts'

export interface DigestOptions {
  stateDir?: string
  since?: string
  json?: boolean
}

export async function digest(context: Context, options: DigestOptions): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const back = parseDuration(options.since ?? '24h')
  if (back === undefined || back === 0) {
    const message = `must be a duration such as "24h" or "7d", got ${JSON.stringify(options.since)}`
    throw new ConfigError([{ file: 'digest', line: 0, column: 0, path: '--since', message }], 'USAGE')
  }
  const until = Date.now()
  const running = new Set<string>()
  for (const worker of (await readHolder(stateDir))?.workers ?? []) if (await isAlive(worker)) running.add(worker.run)
  const state = await peekStateDir(stateDir)
  const found = await readDigest({ ...state, slots: slotLog(stateDir), since: until - back, until, running })
  if (options.json === true) context.out(json(found))
  else for (const line of digestLines(found, paintFor(context))) context.out(`${line}\n`)
  return found.pending.length > 0 ? ERROR_CODES.RESIDUE : 0
}
