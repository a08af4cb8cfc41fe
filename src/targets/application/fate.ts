/** What became of the instances that a step put a fault into: there, gone (and the fault with it), or nobody can say. */
import { readFile, readlink } from 'node:fs/promises'
import { z } from 'zod'
import type { Hello } from '../../faults/connect/protocol.ts'
import type { Instance, Seen } from './client.ts'

/** As a step remembers an instance. */
export const remembered = z.strictObject({
  address: z.string(),
  instance: z.string(),
  pid: z.number(),
  process: z.strictObject({ machine: z.string(), start: z.string() }).nullable(),
})
export type Remembered = z.infer<typeof remembered>

export function remember({ address, hello: { instance, pid, process } }: Instance): Remembered {
  return { address, instance, pid, process }
}

export type Fate = 'there' | 'gone' | 'unknown'

/**
 * Where its pid can be looked at from here, that decides. Elsewhere: an address at which nothing listens, or another
 * instance does, is one whose instance has ended or has stopped listening, and that ends its faults.
 */
export async function fateOf(one: Remembered, seen: Seen): Promise<Fate> {
  if (seen.instances.some(({ hello }) => hello.instance === one.instance)) return 'there'
  const alive = await isAlive(one)
  if (alive !== undefined) return alive ? 'unknown' : 'gone'
  const another = seen.instances.some(({ address }) => address === one.address)
  const silence = seen.silences.find(({ address }) => address === one.address)
  // A socket that is no longer in its folder is not even looked for.
  return another || silence === undefined || silence.why === 'refused' || silence.why === 'stranger'
    ? 'gone'
    : 'unknown'
}

/**
 * Whether one that does not answer has ended beyond doubt. Where its pid cannot be looked at, only another instance at its
 * address shows that: a proxy refuses connections, or answers them itself, while the instance behind it lives and has its faults.
 */
export async function hasEnded(one: Remembered, seen: Seen): Promise<boolean> {
  const alive = await isAlive(one)
  return alive === undefined ? seen.instances.some(({ address }) => address === one.address) : !alive
}

/** `instance k3j9 of shop (pid 4711, /run/shop/chaos.sock)` */
export function nameOf(app: string, { instance, pid, address }: Remembered): string {
  return `instance ${instance} of ${app} (pid ${pid}, ${address})`
}

/** Undefined where its pids are not ours to look at. */
async function isAlive({ pid, process }: Remembered): Promise<boolean | undefined> {
  if (process === null || (await machine()) !== process.machine) return undefined
  return (await startOf(pid)) === process.start
}

/** As the application itself says it (`Hello.process`). */
async function machine(): Promise<NonNullable<Hello['process']>['machine'] | undefined> {
  try {
    return `${(await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()}/${await readlink('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
}

/** Undefined for a process that is not there, or is dead and only not yet fetched by its parent. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
