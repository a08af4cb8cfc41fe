/** What an application says of a step: whether its fault is in force, and what it has counted. */
import type { Observed } from '../../core/observed.ts'
import type { Inspection } from '../../core/skill.ts'
import type { CheckedLease } from './answers.ts'
import type { AppClient, Instance } from './client.ts'
import { fateOf, nameOf, remember } from './fate.ts'
import type { Remembered } from './fate.ts'
import { isOurs } from './ownership.ts'
import type { Given } from './ownership.ts'

/**
 * Counted in instances. Those that have ended are `foreign`, so that the report names them; it is not we who ended their
 * faults. So are strangers' leases under our mark, which are left alone.
 */
export async function inspect(
  target: AppClient,
  given: Given,
  had: readonly Remembered[],
  signal: AbortSignal,
): Promise<Inspection> {
  const seen = await target.look(signal)
  const names: string[] = []
  let [inEffect, restored, foreign] = [0, 0, 0]
  for (const instance of seen.instances) {
    const leases = (await target.leases(instance.address, signal)).filter((one) => one.in_force)
    const strangers = leases.filter((one) => one.mark === given.mark && !isOurs(one, instance, given))
    foreign += strangers.length
    if (strangers.length > 0) names.push(`a lease ${given.mark} at ${instance.address}, which others have granted`)
    if (!leases.some((one) => isOurs(one, instance, given))) {
      restored++
      continue
    }
    inEffect++
    names.push(nameOf(target.app, remember(instance)))
  }
  for (const one of had) {
    const fate = await fateOf(one, seen)
    if (fate === 'unknown') inEffect++
    if (fate === 'gone') foreign++
    if (fate !== 'there')
      names.push(
        `${nameOf(target.app, one)} ${fate === 'gone' ? 'has ended, and its faults with it' : 'cannot be asked'}`,
      )
  }
  return { inEffect, restored, foreign, names: names.slice(0, 20) }
}

/** Leases that are over are still told. What an instance counted is gone with it. */
export async function observe(
  target: AppClient,
  given: Given,
  had: readonly Remembered[],
  signal: AbortSignal,
): Promise<Observed> {
  const { instances } = await target.look(signal)
  const leases = await Promise.all(
    instances.map(async (instance) => ({ instance, lease: await leaseOf(target, instance, given, signal) })),
  )
  const counted = leases.flatMap(({ lease }) => lease ?? [])
  const known = new Set(leases.flatMap(({ instance, lease }) => (lease ? instance.hello.instance : [])))
  const counts = counted.every(({ calls }) => calls !== undefined)
  return {
    ...(counts ? { calls: counted.reduce((sum, { calls = 0 }) => sum + calls, 0) } : {}),
    fired: counted.reduce((sum, { fired }) => sum + fired, 0),
    missing: had.filter(({ instance }) => !known.has(instance)).length,
  }
}

async function leaseOf(
  target: AppClient,
  instance: Instance,
  given: Given,
  signal: AbortSignal,
): Promise<CheckedLease | undefined> {
  return (await target.leases(instance.address, signal)).find((one) => isOurs(one, instance, given))
}
