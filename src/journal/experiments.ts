/** Results of experiments inside applications, in `<state>/experiments`: one JSON file each, the newest of an id. */
import { join } from 'node:path'
import { JournalError, messageOf } from '../core/errors.ts'
import { nodeDisk, writeFileDurably } from './disk.ts'

export interface ExperimentStore {
  /** Throws JournalError where it cannot be written; to be asked before an experiment is run. */
  open(): Promise<void>
  /** Durable when it resolves; replaces an earlier result of the same id. */
  write(id: string, result: unknown): Promise<void>
  /** Undefined when there is none. */
  read(id: string): Promise<unknown>
  /** Ids with a result, sorted. */
  ids(): Promise<string[]>
}

export function experimentStore(stateDir: string): ExperimentStore {
  const folder = join(stateDir, 'experiments')
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      const advice = 'Name a folder that can be written with --state-dir or CHAOS_STATE_DIR'
      const message = `cannot write the state folder ${stateDir}: ${messageOf(error)}. ${advice}`
      throw new JournalError('JOURNAL_WRITE', message, { cause: error })
    }
  }
  return {
    open: () => guarded(() => nodeDisk.mkdir(folder)),
    write: (id, result) =>
      guarded(() => writeFileDurably(nodeDisk, folder, fileOf(id), `${JSON.stringify(result, null, 2)}\n`)),
    async read(id) {
      try {
        return JSON.parse((await nodeDisk.readFile(join(folder, fileOf(id)))).toString('utf8')) as unknown
      } catch (error) {
        if (isMissing(error)) return undefined
        throw new JournalError('JOURNAL_READ', `cannot read the result of ${id}: ${messageOf(error)}`, { cause: error })
      }
    },
    async ids() {
      const names = await nodeDisk.list(folder).catch((error: unknown) => {
        if (isMissing(error)) return []
        throw new JournalError('JOURNAL_READ', `cannot read ${folder}: ${messageOf(error)}`, { cause: error })
      })
      return names
        .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
        .flatMap((name) => idOf(name.slice(0, -'.json'.length)) ?? [])
        .sort()
    },
  }
}

/** An id may hold anything; a file name may not. Long ids are refused by the file format, and by the disk. */
function fileOf(id: string): string {
  return `${encodeURIComponent(id).replaceAll('.', '%2E').replaceAll('*', '%2A')}.json`
}

/** Undefined for the name of a file that is not ours. */
function idOf(name: string): string | undefined {
  try {
    return decodeURIComponent(name)
  } catch {
    return undefined
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
