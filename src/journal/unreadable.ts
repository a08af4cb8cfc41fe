/**
 * What cannot be read is not damaged: the system does not let us see it, and it may be whole. Here, and nowhere else, the
 * two are told apart.
 */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf } from '../core/errors.ts'
import { loginOf, nameOf } from './users.ts'

export interface Unreadable {
  path: string
  /** Of the system: EACCES, EIO, EISDIR… */
  code: string
}

/**
 * Which file the system has refused to show; undefined where the bytes were read, and what is wrong is in them. Only that
 * is damage.
 */
export function unreadableBy(error: unknown, path: string): Unreadable | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    const code = 'code' in one ? one.code : undefined
    if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return { path, code }
  }
  return undefined
}

/** `cannot read FILE: …`, with who owns it and what lets us read it. `what` goes before its name. */
export async function cannotRead(path: string, error: unknown, what = ''): Promise<string> {
  const code = unreadableBy(error, path)?.code
  const advice = code === undefined ? '' : await adviceFor(path, code)
  return `cannot read ${what}${path}: ${messageOf(error)}${advice === '' ? '' : `. ${advice}`}`
}

const ADVICE: Record<string, string> = {
  EISDIR: 'It is a folder: move it away, or put the file back in its place',
  ELOOP: 'It is a symbolic link, which is not followed: put the file itself in its place',
  EFTYPE: 'Only a plain file is read there: remove what is there, or put the file back in its place',
  EFBIG: 'Nothing that we write there is so large: move it away, or put the file back in its place',
  EIO: 'The disk does not give it: copy the state folder to another disk, and name that with --state-dir',
  EMFILE: 'Too many files are open: raise the limit (ulimit -n) and try again',
  ENFILE: 'Too many files are open on this machine: end what has them open and try again',
  ENOMEM: 'There is no memory left: make room and try again',
}

/** What a person can do about it; empty where nothing is known. */
export async function adviceFor(path: string, code: string): Promise<string> {
  if (code === 'EACCES' || code === 'EPERM') return ownerAdvice(path)
  if (code === 'EXPOSED')
    return `Look at what it says, then: chown ${process.geteuid?.() ?? 0} ${quoted(path)} && chmod 600 ${quoted(path)}`
  return ADVICE[code] ?? ''
}

async function ownerAdvice(path: string): Promise<string> {
  const closed = await closedPart(path)
  if (!closed) return ''
  const { at, uid, isFolder } = closed
  const me = process.geteuid?.()
  const owner = nameOf(uid)
  if (uid === me) return `${at} is ours and closed: chmod ${isFolder ? 'u+rwx' : 'u+rw'} ${quoted(at)}`
  const folderOf = await stat(dirname(at)).catch(() => undefined)
  const be = `sudo -u ${quoted(loginOf(uid))} chaos …`
  if (me === undefined || folderOf?.uid !== me) return `${at} belongs to ${owner}: run the command as that user (${be})`
  return `${at} belongs to ${owner}, its folder to us: sudo chown -R ${me}:${process.getegid?.() ?? me} ${quoted(dirname(at))}, or run the command as that user (${be})`
}

/** The first of the path, from its root, that this user may not enter or read. */
async function closedPart(path: string): Promise<{ at: string; uid: number; isFolder: boolean } | undefined> {
  const parents: string[] = [path]
  for (let at = path; dirname(at) !== at; at = dirname(at)) parents.unshift(dirname(at))
  for (const at of parents) {
    const info = await stat(at).catch(() => undefined)
    if (!info) return undefined
    const needed = info.isDirectory() ? constants.X_OK | (at === path ? constants.R_OK : 0) : constants.R_OK
    const open = await access(at, needed).then(
      () => true,
      () => false,
    )
    if (!open) return { at, uid: info.uid, isFolder: info.isDirectory() }
  }
  // It may be read: then it was to be written.
  const info = await stat(path).catch(() => undefined)
  if (!info) return undefined
  const writable = await access(path, constants.W_OK).then(
    () => true,
    () => false,
  )
  return writable ? undefined : { at: path, uid: info.uid, isFolder: info.isDirectory() }
}

/** As a shell takes it. */
export function quoted(path: string): string {
  return /^[\w/.,:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
}
