/** Which of the leases under a step's mark is the step's own: a mark is a name that anybody can grant under. */
import { ownerOf } from '../../faults/connect/owner.ts'
import type { CheckedLease } from './answers.ts'
import type { AppClient, Instance } from './client.ts'

/** What a step knows of its lease. */
export interface Given {
  mark: string
  /** Absent in a step that a version before keys has written. */
  key?: string | undefined
  component: string
  fault: { fault_type: string }
}

/**
 * By its key. An application of a version before keys has one lease of a mark, which is everybody's; and of a step before
 * keys the lease is known by what it does.
 */
export function isOurs(lease: CheckedLease, { hello }: Instance, { mark, key, component, fault }: Given): boolean {
  if (lease.mark !== mark) return false
  if (hello.owners !== true) return true
  if (key !== undefined) return lease.owner === ownerOf(key)
  const does = JSON.stringify([lease.components, lease.fault_types])
  return lease.owner === undefined && does === JSON.stringify([[component], [fault.fault_type]])
}

/** On every instance that answers. */
export async function endEverywhere(target: AppClient, given: Given, signal: AbortSignal): Promise<void> {
  const { instances } = await target.look(signal)
  await Promise.all(instances.map((instance) => endAt(target, instance, given, signal)))
}

async function endAt(target: AppClient, instance: Instance, given: Given, signal: AbortSignal): Promise<void> {
  const { mark, key } = given
  const { address, hello } = instance
  if (key === undefined && hello.owners === true) {
    const leases = await target.leases(address, signal)
    if (!leases.some((lease) => lease.in_force && isOurs(lease, instance, given))) return
  }
  await target.end(address, { mark, ...(key === undefined ? {} : { key }) }, signal)
}
