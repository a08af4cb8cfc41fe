/** Writes a file that only its owner may read, whole or not at all, and never over one that is there unless told to. */
import { constants, copyFile, link, lstat, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ConfigError, messageOf } from '../../core/errors.ts'

export interface NewFile {
  path: string
  text: string
  force: boolean
  /** Sees the finished file under another name, before it gets its own; what it throws keeps the file from being made. */
  check(path: string): Promise<void>
}

export async function writeNewFile({ path, text, force, check }: NewFile): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await check(temporary)
    if (force) await rename(temporary, path)
    else await linkOrCopy(temporary, path)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw isThere(error) ? exists(path) : unwritable(path, error)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Unlike a rename, a link is refused where a file of that name is there by now. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch((error: unknown) => {
    if (isThere(error)) throw error
    // Some file systems have no links.
    return copyFile(from, to, constants.COPYFILE_EXCL)
  })
}

/** Throws where the file is there already: said before anybody waits for a connection. */
export async function refuseExisting(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found) throw exists(path)
}

function isThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST'
}

function exists(path: string): ConfigError {
  return problem(`${path} is there already: --output names another file, --force replaces this one`)
}

function unwritable(path: string, error: unknown): ConfigError {
  return problem(`cannot write ${path}: ${messageOf(error)}`)
}

function problem(message: string): ConfigError {
  return new ConfigError([{ file: 'init', line: 0, column: 0, path: '--output', message }], 'USAGE')
}
