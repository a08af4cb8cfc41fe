/** Where a pid counts: in a container that shares our volume it is another process, or none. */
import { readlink } from 'node:fs/promises'

/** Whether its pids are those of another PID namespace. Notes of older versions have no namespace: they count as ours. */
export async function isElsewhere({ pid_namespace: theirs }: { pid_namespace?: string }): Promise<boolean> {
  const ours = await pidNamespace()
  return theirs !== undefined && ours !== undefined && theirs !== ours
}

/** Undefined where the system does not tell. */
export function pidNamespace(): Promise<string | undefined> {
  return readlink('/proc/self/ns/pid').catch(() => undefined)
}

/** `chaos daemon (pid 7 in another PID namespace, since …)`. */
export function elsewhereText({
  command,
  pid,
  started_at,
}: {
  command: string
  pid: number
  started_at: string
}): string {
  return `chaos ${command} (pid ${pid} in another PID namespace, such as another container, since ${started_at})`
}
