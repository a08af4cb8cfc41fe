/** Users and groups of this machine: their names, and which of them are as good as we ourselves. */
import { readFileSync } from 'node:fs'

/**
 * Whether a group is one of this process or root's, and nobody but these users is in it: many systems give every user a
 * group of his own, and orchestrators give a volume the group of its container. Users of a directory service are not seen.
 */
export function isOwnGroup(gid: number, uids: ReadonlySet<number>): boolean {
  const own = new Set([0, process.getegid?.(), ...(process.getgroups?.() ?? [])])
  return own.has(gid) && membersOf(gid).every((uid) => uids.has(uid))
}

function membersOf(gid: number): number[] {
  const users = tableOf('/etc/passwd').map(([name = '', , uid, primary]) => ({ name, uid: Number(uid), primary }))
  const named = tableOf('/etc/group').flatMap(([, , id, names = '']) => (Number(id) === gid ? names.split(',') : []))
  return users.filter(({ name, primary }) => Number(primary) === gid || named.includes(name)).map(({ uid }) => uid)
}

/**
 * Whether an owner is one that this user namespace knows. In a container without privileges the folders above ours may be
 * those of users who cannot be named in it; all of them are shown as one, and whoever made the container decides there.
 */
export function isMapped(uid: number): boolean {
  const unknown = Number(textOf('/proc/sys/kernel/overflowuid') || 65_534)
  const [first, , count] = textOf('/proc/self/uid_map').trim().split(/\s+/, 3)
  const everybody = first === undefined || first === '' || (first === '0' && count === '4294967295')
  return uid !== unknown || everybody
}

/** `root (uid 0)`, or `uid 1234` for a user without a name. */
export function nameOf(uid: number): string {
  const login = loginOf(uid)
  return login.startsWith('#') ? `uid ${uid}` : `${login} (uid ${uid})`
}

/** As sudo takes it. */
export function loginOf(uid: number): string {
  const [name] = tableOf('/etc/passwd').find(([, , id]) => id === String(uid)) ?? []
  return name ?? `#${uid}`
}

function tableOf(file: string): string[][] {
  return textOf(file)
    .split('\n')
    .filter((line) => line.includes(':'))
    .map((line) => line.split(':'))
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
