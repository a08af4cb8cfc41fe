/** Who a target is, and how it is known again after a crash: names prove nothing. */
import type { Scope } from './skill.ts'

/** Two configurations that reach the same system through different names have the same scopes. */
export interface Identity {
  /** Prefix of claim keys per scope; `resource` claims use the database's. */
  scopes: Record<Scope, string>
  /**
   * What was read, part by part; null is "unreadable". Parts that are present both times must be equal, else it is
   * another system. `machine_id` and those that begin with `address` say which machine it is; nothing else does: a cloned
   * machine has the same host name.
   */
  parts: Record<string, string | null>
}

/** The names of parts that differ although both sides could read them. */
export function identityMismatch(then: Identity['parts'], now: Identity['parts']): string[] {
  return Object.keys(then).filter((part) => readable(then, part) && readable(now, part) && then[part] !== now[part])
}

/** Whether a step that acts on what is local to one machine may begin there: after a crash the machine can be known again. */
export function namesMachine(parts: Identity['parts']): boolean {
  return Object.keys(parts).some((part) => saysMachine(part) && readable(parts, part))
}

/**
 * Why it is not shown to be the same machine; undefined when it is. A machine id that was known must be read again: an address
 * may have been given to another machine since. Where there was none, one equal address is enough.
 */
export function machineDoubt(then: Identity['parts'], now: Identity['parts']): string | undefined {
  const differing = identityMismatch(then, now).filter(saysMachine)
  if (differing.length > 0) return `${differing.join(', ')} differ`
  if (readable(then, 'machine_id'))
    return readable(now, 'machine_id') ? undefined : 'its machine id cannot be read any more'
  const same = Object.keys(then).some((part) => saysMachine(part) && readable(then, part) && readable(now, part))
  return same ? undefined : 'neither an address nor a machine id shows that it is the same machine'
}

function saysMachine(part: string): boolean {
  return part === 'machine_id' || part.startsWith('address')
}

function readable(parts: Identity['parts'], part: string): boolean {
  return (parts[part] ?? null) !== null
}
