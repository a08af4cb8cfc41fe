/** What everything in the state folder needs of its files: names, texts that may be missing, and errors that say what to do. */
import { JournalError, messageOf } from '../core/errors.ts'
import { isCode } from './disk.ts'
import type { Disk } from './disk.ts'
import { adviceFor, cannotRead, unreadableBy } from './unreadable.ts'

/** Sorted. A folder that is not there is empty. */
export async function namesIn(folder: string, ending: string, disk: Disk): Promise<string[]> {
  const names = await disk.list(folder).catch(async (error: unknown) => {
    if (isCode(error, 'ENOENT')) return []
    throw new JournalError('JOURNAL_READ', await cannotRead(folder, error), { cause: error })
  })
  return names.filter((name) => name.endsWith(ending) && !name.startsWith('.')).sort()
}

/** Undefined where there is no such file. */
export async function readOptional(file: string, disk: Disk, most?: number): Promise<string | undefined> {
  try {
    return (await disk.readFile(file, most)).toString('utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw new JournalError('JOURNAL_READ', await cannotRead(file, error), { cause: error })
  }
}

/** `path`: the state folder. */
export async function guarded(path: string, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    throw await unwritable(path, error)
  }
}

export async function unwritable(path: string, error: unknown): Promise<JournalError> {
  const code = unreadableBy(error, path)?.code
  const advice = code === undefined ? '' : await adviceFor(pathOf(error) ?? path, code)
  return new JournalError(
    'JOURNAL_WRITE',
    `cannot write the state folder ${path}: ${messageOf(error)}. ${advice === '' ? '' : `${advice}. `}Name one that can be written with --state-dir or CHAOS_STATE_DIR`,
    { cause: error },
  )
}

/** Of the file that the system refused. */
function pathOf(error: unknown): string | undefined {
  return error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : undefined
}
