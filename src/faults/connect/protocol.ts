/**
 * What is spoken between an application and the daemon's worker: JSON over HTTP/1.1, on a unix socket or on an address with
 * a token. docs/application.md describes it for other languages.
 */
import type { FaultConfig } from '../fault-type.ts'

/** Of the paths, too (`/v1/…`): a later one is another prefix. */
export const PROTOCOL = 1

/** Bytes of one request or answer. */
export const LONGEST_BODY = 256 * 1024
export const LONGEST_MARK = 50
export const SHORTEST_LEASE_MS = 100
export const LONGEST_LEASE_MS = 10 * 60_000
export const SHORTEST_TOKEN = 16
/** Characters of the key of a lease, which nobody can guess. */
export const SHORTEST_KEY = 16
export const LONGEST_KEY = 100

/** `GET /v1/hello`: who answers. */
export interface Hello {
  protocol: typeof PROTOCOL
  app: string
  /** Of this start of the process; another one after a restart. */
  instance: string
  pid: number
  /** ISO 8601. */
  started_at: string
  /** Where the pid means something, and the process's start in its kernel's own count; null where neither can be read. */
  process: { machine: string; start: string } | null
  /** `is_sync`: it answers without a promise, so that a delay blocks its whole process. Absent where that is not so, or not known. */
  components: { name: string; calls: number; is_sync?: boolean }[]
  /** There may be more components, each known with its first call. Absent where that is not so, or not known. */
  open_ended?: boolean
  /** It knows leases by mark and key. Absent in an application of an older version: there whoever has the mark has the lease. */
  owners?: boolean
}

/**
 * `POST /v1/leases`: puts faults in place; with a mark and key that are in place already it renews. A mark is a name that
 * anybody can take: leases of one mark that were granted with different keys, or without one, are different leases.
 */
export interface Grant extends Keyed {
  faults: readonly FaultConfig[]
  /** Not empty: a lease on everything must be said as `["*"]`. */
  components: readonly string[]
  lease_ms: number
  seed?: string | number
}

/** `POST /v1/renew` and `POST /v1/end` of one lease. */
export interface Keyed {
  /** `chaos-<install>-<run>-<step>`. */
  mark: string
  /** A secret of whoever grants: without it nobody renews or ends that lease. Letters, digits, `-` and `_`. */
  key?: string
}

/** The answer to a grant or a renewal. */
export interface Marked {
  mark: string
}

/** `POST /v1/end` of a whole run: nothing that begins so is granted any more. */
export interface EndAll {
  prefix: string
  /** What is in force stays: its owner ends it by mark and key. Without it, what was granted without a key ends. */
  grants_only?: boolean
}

/** `GET /v1/leases`: those in force, and the latest that have ended. */
export interface LeaseView {
  mark: string
  /** SHA-256 of its key, hexadecimal. Absent where it was granted without one. */
  owner?: string
  components: readonly string[]
  fault_types: readonly string[]
  in_force: boolean
  /** Since it was first granted. Absent, like `calls`, in an application that does not count them. */
  age_ms?: number
  /** Calls of its components while it was in force. */
  calls?: number
  /** Faults that took effect, all and by component. */
  fired: number
  fired_by_component: Record<string, number>
}

export interface Leases {
  leases: LeaseView[]
}

/** Every answer that is not 200. */
export interface Refusal {
  error: RefusalCode
  message: string
}

export type RefusalCode =
  | 'bad_request' // it does not have the form above
  | 'not_found'
  | 'foreign' // meant for another Host, or sent by a page in a browser
  | 'token' // missing or wrong
  | 'disabled' // the application refuses faults
  | 'ended' // this mark has been ended, which is for good
  | 'unknown' // renew: no such lease in force
  | 'held' // another run's lease is on one of these components

/** `chaos-<install>-<run>-` of a mark: two leases of one run may be on one component, those of two runs may not. */
export function runOf(mark: string): string {
  return mark.replace(/[^-]*$/, '')
}
