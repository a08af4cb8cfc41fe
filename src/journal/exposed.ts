/**
 * Who else could change the state folder: what is undone, where, and which process is ended is read from there, so it is
 * trusted like a private key, and refused like one that others can write.
 */
import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { dirname, join, parse, resolve, sep } from 'node:path'
import { JournalError } from '../core/errors.ts'
import { quoted } from './unreadable.ts'
import { isMapped, isOwnGroup, loginOf, nameOf } from './users.ts'

/** As the kernel. */
const MOST_LINKS = 40

/**
 * Throws STATE_EXPOSED where somebody else than we, root and the folder's owner could change it: it, a folder in it, or one
 * above it, and with the command that closes it. What is not there yet, or what we may not look at, is nobody's.
 */
export function refuseExposed(stateDir: string): void {
  const folder = lookAt(resolve(stateDir), { follow: true })
  const trusted = new Set([0, ...ownUid(), ...(folder === undefined ? [] : [folder.uid])])
  for (const { path, info, above } of chainOf(resolve(stateDir))) {
    // In a sticky folder such as /tmp nobody can replace what belongs to another, and whose that is comes next.
    refuse(stateDir, path, info, { trusted, above, sticky: above && (info.mode & 0o1000) !== 0 })
  }
  if (folder?.isDirectory() !== true) return
  for (const name of namesIn(stateDir)) {
    const path = join(stateDir, name)
    const info = lookAt(path)
    if (info?.isSymbolicLink() === true && FOLDERS.has(name))
      throw exposed(`${path} is a symbolic link, which is not followed: put the folder itself in its place`)
    if (info?.isDirectory() === true) refuse(stateDir, path, info, { trusted, sticky: false, above: false })
  }
}

/**
 * Throws STATE_EXPOSED where the folder belongs to another user and something in it waits to be undone, for what would act
 * on its word: that user could have root run statements. Looking, freezing and asking its daemon is harmless, and a run
 * that finds nothing there acts on no word but its own.
 */
export function refuseForeign(stateDir: string): void {
  const info = lookAt(resolve(stateDir), { follow: true })
  const [me] = ownUid()
  if (!info || me === undefined || [0, me].includes(info.uid)) return
  if (['journal', 'secrets'].every((folder) => namesIn(join(stateDir, folder)).length === 0)) return
  throw exposed(
    `${stateDir} belongs to ${nameOf(info.uid)}, who decides by it what is undone, and where: run the command as that user (sudo -u ${quoted(loginOf(info.uid))} chaos …), or make it ours: chown -R ${ownText()} ${quoted(stateDir)}`,
  )
}

const FOLDERS = new Set(['journal', 'history', 'secrets', 'experiments'])

interface Rules {
  trusted: ReadonlySet<number>
  sticky: boolean
  above: boolean
}

function refuse(stateDir: string, path: string, info: Stats, { trusted, sticky, above }: Rules): void {
  const why = `what is undone, and where, is read from ${above ? `${stateDir} below it` : 'there'}`
  if (!trusted.has(info.uid) && (!above || isMapped(info.uid)))
    throw exposed(
      `${path} belongs to ${nameOf(info.uid)}, who could change it, and ${why}: chown ${ownText()} ${quoted(path)}`,
    )
  if (sticky || info.isSymbolicLink()) return
  const byAll = (info.mode & 0o002) !== 0
  const byGroup = (info.mode & 0o020) !== 0 && !isOwnGroup(info.gid, trusted)
  if (!byAll && !byGroup) return
  const who = byAll ? 'every user' : `its group (gid ${info.gid})`
  const mode = (info.mode & 0o7777).toString(8)
  const command = above ? `chmod go-w ${quoted(path)}` : `chmod 700 ${quoted(path)}`
  throw exposed(`${path} may be changed by ${who} (mode ${mode}), and ${why}: ${command}`)
}

interface Part {
  path: string
  info: Stats
  /** The path goes on below it. */
  above: boolean
}

/** Every folder and link on the way to it, from the root; a link's own way, too. It ends at what is not there. */
function chainOf(path: string): Part[] {
  const parts: Part[] = []
  const walk = (from: string, names: readonly string[], links: number): void => {
    let at = from
    for (const [i, name] of names.entries()) {
      if (name === '.' || name === '') continue
      if (name === '..') {
        at = dirname(at)
        continue
      }
      const parent = lookAt(at)
      const next = join(at, name)
      const info = lookAt(next)
      if (parent?.isDirectory() === true) parts.push({ path: at, info: parent, above: true })
      if (!info) return
      if (info.isSymbolicLink()) {
        if (links >= MOST_LINKS) return
        parts.push({ path: next, info, above: true })
        const target = readlinkSync(next)
        const { root } = parse(target)
        walk(root === '' ? at : root, [...target.slice(root.length).split(sep), ...names.slice(i + 1)], links + 1)
        return
      }
      at = next
    }
    const info = lookAt(at)
    if (info?.isDirectory() === true) parts.push({ path: at, info, above: false })
  }
  const { root } = parse(path)
  walk(root, path.slice(root.length).split(sep), 0)
  return parts
}

/** Undefined where there is nothing, or where we may not look: then we cannot use it either. */
function lookAt(path: string, { follow } = { follow: false }): Stats | undefined {
  try {
    const info = lstatSync(path)
    return follow && info.isSymbolicLink() ? lookAt(resolve(dirname(path), readlinkSync(path)), { follow }) : info
  } catch {
    return undefined
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function ownUid(): number[] {
  const uid = process.geteuid?.()
  return uid === undefined ? [] : [uid]
}

function ownText(): string {
  return `${process.geteuid?.() ?? 0}:${process.getegid?.() ?? 0}`
}

function exposed(message: string): JournalError {
  return new JournalError(
    'STATE_EXPOSED',
    `${message}. Or name another state folder with --state-dir or CHAOS_STATE_DIR`,
  )
}
