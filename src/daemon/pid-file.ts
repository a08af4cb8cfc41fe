/**
 * The pid file: the daemon's pid alone, for whoever wants to find it. It excludes nobody (the state folder's lock does
 * that), so one that names a dead process, or another program that has got its pid, is only stale and is replaced.
 */
import { constants } from 'node:fs'
import { link, lstat, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CodedError, ConfigError, messageOf } from '../core/errors.ts'
import { readRegular, SMALL_BYTES } from '../journal/regular.ts'
import { randomName } from '../journal/names.ts'
import { whoIs } from './find-daemon.ts'

export interface PidFile {
  readonly path: string
  /** Removes it if it is still the one that was written. */
  remove(): Promise<void>
}

/** Tries to get it; somebody who replaces a stale one at the same time is in the way for a moment only. */
const TRIES = 20

/** Throws what `writePidFile` would throw, as far as can be told now; leaves nothing behind. */
export async function checkPidFile(path: string): Promise<void> {
  await staleIn(path)
  await unlink(await temporaryFile(path))
}

/** Call it while holding the state folder's lock. Throws LOCKED naming the other daemon, or ConfigError. */
export async function writePidFile(path: string): Promise<PidFile> {
  const temporary = await temporaryFile(path)
  try {
    await place(temporary, path)
    const { ino, dev } = await lstat(path)
    return {
      path,
      async remove() {
        const now = await lstat(path).catch(() => undefined)
        if (now?.ino !== ino || now.dev !== dev) return
        if (String(await readRegular(path, SMALL_BYTES).catch(() => '')) === ownText())
          await unlink(path).catch(() => undefined)
      },
    }
  } catch (error) {
    if (error instanceof CodedError) throw error
    throw wrong(`${path} cannot be written: ${messageOf(error)}`)
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
}

/** The pid in a pid file; undefined where there is no file, 0 where it is empty. Throws ConfigError for what is none. */
export async function readPidFile(path: string): Promise<number | undefined> {
  const info = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw wrong(`${path} cannot be read: ${messageOf(error)}`)
  })
  if (!info) return undefined
  if (info.isSymbolicLink()) throw wrong(`${path} is a symbolic link, which is not followed: name the file itself`)
  if (!info.isFile()) throw wrong(`${path} is not a file: name another one`)
  const text = info.size > 32 ? '?' : String(await readRegular(path).catch((error: unknown) => messageOf(error)))
  if (text.trim() === '') return 0
  // Somebody's own file, named by mistake, is not ours to replace.
  if (!/^[1-9]\d{0,9}\s*$/.test(text)) throw wrong(`${path} is there and is not a pid file: remove it, or name another`)
  return Number(text)
}

function ownText(): string {
  return `${process.pid}\n`
}

/** Made under another name and linked later, so that nobody ever reads a pid file that has no pid in it yet. */
async function temporaryFile(path: string): Promise<string> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${randomName(8)}`)
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  try {
    const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644)
    try {
      await file.writeFile(ownText())
      // Whatever the umask: others are meant to read it.
      await file.chmod(0o644)
    } finally {
      await file.close()
    }
    return temporary
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw (await lstat(folder).catch(() => undefined)) === undefined
      ? wrong(`there is no folder ${folder} for ${path}: make it, or name another file`)
      : wrong(`${path} cannot be written (${messageOf(error)}): name a file in a folder that can be written`)
  }
}

async function place(temporary: string, path: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      // Fails where there is anything, a dangling symbolic link too.
      await link(temporary, path)
      return
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || tries === TRIES) throw error
    }
    const stale = await staleIn(path)
    if (stale !== undefined) await removeStale(path, stale)
  }
}

/** The pid that may be replaced; undefined where there is no file. Throws LOCKED where a daemon lives by that pid. */
async function staleIn(path: string): Promise<number | undefined> {
  const pid = await readPidFile(path)
  // A container that is started anew gets the same few pids again.
  if (pid === undefined || pid === 0 || pid === process.pid) return pid
  const who = await whoIs(pid)
  if (who.kind === 'daemon')
    throw new CodedError(
      'LOCKED',
      `${path} is the pid file of chaos daemon (pid ${pid}, since ${who.note.started_at}, state in ${who.stateDir}); stop it first or use another --pid-file`,
    )
  if (who.kind === 'hidden' && who.daemon)
    throw new CodedError(
      'LOCKED',
      `${path} names process ${pid}, which seems to be a chaos daemon of another user; stop it first or use another --pid-file. If it is something else, remove the file`,
    )
  return pid
}

/** Moved aside and looked at again: another daemon may have put its own in place since our look. */
async function removeStale(path: string, stale: number): Promise<void> {
  const aside = join(dirname(path), `.${basename(path)}.stale-${randomName(8)}`)
  try {
    await rename(path, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  try {
    if ((await readPidFile(aside)) !== stale) await link(aside, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await unlink(aside).catch(() => undefined)
  }
}

function wrong(message: string): ConfigError {
  return new ConfigError([{ file: 'pid file', line: 0, column: 0, path: '--pid-file', message }], 'USAGE')
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
