/** The live connection to one application: who it is, what it offers, whose leases are on it. */
import { ConfigError, RefusedError, RollbackError, TargetError } from '../../core/errors.ts'
import { runMark } from '../../core/skill.ts'
import type { Resource } from '../../core/skill.ts'
import { runSkills } from '../../core/target.ts'
import type { Agent, AnySkill, ConnectOptions, Discovery } from '../../core/target.ts'
import type { CheckedLease } from './answers.ts'
import { applicationClient } from './client.ts'
import type { AppClient, AppReader, Instance, Seen } from './client.ts'
import { isHere, keyOf } from './config.ts'
import { SYNCHRONOUS } from './fault-skill.ts'
import { ownMachineId } from './machine-id.ts'
import type { ApplicationConfig } from './config.ts'

export async function connectApplication(
  config: ApplicationConfig,
  skills: readonly AnySkill<AppReader, AppClient>[],
  { install, run, signal, clock }: ConnectOptions,
): Promise<Agent> {
  const client = applicationClient(config)
  refuseDenied(await client.look(signal), config)

  const inForce = async (seen: Seen, signal: AbortSignal): Promise<{ instance: Instance; lease: CheckedLease }[]> => {
    const each = seen.instances.map(async (instance) =>
      (await client.leases(instance.address, signal)).flatMap((lease) => (lease.in_force ? [{ instance, lease }] : [])),
    )
    return (await Promise.all(each)).flat()
  }

  return {
    /**
     * Its name and where it listens; instances come and go. Two that have one name on two machines are one to our claims,
     * which costs nothing but a wait. For recovery another address is another application: faults are where they were put. A
     * cloned machine has the same sockets, so it is told by its machine id.
     */
    async identity() {
      const scope = `application/${config.app}`
      return {
        scopes: { server: scope, database: scope, resource: scope },
        parts: { app: config.app, address: keyOf(config), machine_id: isHere(config) ? await ownMachineId() : null },
      }
    },
    discover: async (signal) => discoveryOf(await client.look(signal), config),
    ...runSkills(
      skills,
      () => client,
      () => Promise.resolve(client),
    ),
    /**
     * The application itself refuses a second run on one component; here its holder is named before anything begins. The claim
     * is the lease, whose loss is the step's.
     */
    async claim(keys, signal) {
      const wanted = keys.map(({ key }) => key)
      for (const { instance, lease } of await inForce(await client.look(signal), signal)) {
        const key = lease.components.map((name) => `application/${config.app}/${name}`).find((k) => wanted.includes(k))
        if (key !== undefined && !lease.mark.startsWith(runMark(install, run)))
          throw new RefusedError(
            'REFUSED_CLAIMED',
            `${key} is in use by ${lease.mark} (at ${instance.address}); wait until it is done`,
          )
      }
      return {}
    },
    /**
     * Has every grant of the run refused that is still on its way. Its leases are ended by the undo of their steps, which have
     * their keys; those that an application of an older version has are ended here, by their name.
     */
    async quiesce(run, signal, stranger) {
      const { instances, silences } = await client.look(signal)
      const prefix = runMark(install, run)
      await Promise.all(instances.map(({ address }) => client.end(address, { prefix, grants_only: true }, signal)))
      // Who denies us has denied every grant as well. Who is silent may still have one to read.
      const silent = silences.filter(({ why }) => why === 'silent' || why === 'garbled')
      if (silent.length > 0)
        throw new RollbackError('RESIDUE', `${config.app} cannot be asked to end its faults: ${textOf(silent)}`)
      const theirs = (await inForce({ instances, silences }, signal).catch(() => [])).filter(
        ({ instance: { hello }, lease: { mark, owner } }) =>
          hello.owners === true && owner === undefined && mark.startsWith(prefix),
      )
      for (const { instance, lease } of theirs)
        stranger?.(
          `lease ${lease.mark} at ${instance.address} on ${lease.components.join(', ')}, granted without a key`,
        )
    },
    /** What the library counts by itself, of all instances together; one that comes or goes begins another epoch. */
    async sample(signal) {
      const begun = clock.monotonic()
      const { instances, silences } = await client.look(signal)
      const round_trip_ms = clock.monotonic() - begun
      if (instances.length === 0)
        throw new TargetError('TARGET_UNREACHABLE', `no instance of ${config.app} answers: ${textOf(silences)}`)
      const calls = instances.flatMap(({ hello }) => hello.components.map((one) => one.calls))
      const silent = silences.filter(({ why }) => why !== 'refused').length
      return {
        epoch: instances.map(({ hello }) => hello.instance).sort().join(' '), // prettier-ignore
        round_trip_ms,
        gauges: { instances: instances.length, silent },
        counters: { calls: calls.reduce((sum, n) => sum + n, 0) },
      }
    },
    async sweep(install, signal) {
      const leases = await inForce(await client.look(signal), signal)
      return leases
        .filter(({ lease }) => lease.mark.startsWith(install === undefined ? 'chaos-' : runMark(install, '')))
        .map(({ instance: { hello, address }, lease: { mark, components, fault_types, age_ms } }) => ({
          mark,
          kind: 'lease',
          describe: `${fault_types.join(', ')} on ${components.join(', ')} of pid ${hello.pid} at ${address}`,
          ...(age_ms === undefined ? {} : { age_ms }),
        }))
    },
    close: () => Promise.resolve(),
  }
}

/** With a wrong token nothing could be undone either; recovery then tries the one that the run was started with. */
function refuseDenied({ instances, silences }: Seen, config: ApplicationConfig): void {
  const denied = silences.filter(({ why }) => why === 'denied')
  if (instances.length === 0 && denied.length > 0)
    throw new TargetError('TARGET_PRIVILEGE', `${config.app} does not let us: ${textOf(denied)}`)
}

/** Components by name, of all instances together. Before the first fault everything that is there has to answer. */
function discoveryOf({ instances, silences }: Seen, config: ApplicationConfig): Discovery {
  const strangers = silences.filter(({ why }) => why === 'stranger')
  if (strangers.length > 0) {
    const message = `is ${JSON.stringify(config.app)}, but another answers: ${textOf(strangers)}`
    throw new ConfigError(
      [{ file: '', line: 0, column: 0, path: 'target_config.app', message }],
      'CONFIG_NOT_ON_TARGET',
    )
  }
  const mute = silences.filter(({ why }) => why !== 'refused')
  if (mute.length > 0) throw new TargetError('TARGET_UNREACHABLE', `${config.app} cannot be asked: ${textOf(mute)}`)
  if (instances.length === 0) {
    const where = silences.length > 0 ? textOf(silences) : `there is no socket in ${keyOf(config)}`
    throw new TargetError('TARGET_UNREACHABLE', `${config.app} does not listen: ${where}; it has to call connectChaos`)
  }
  const names = [...new Set(instances.flatMap(({ hello }) => hello.components.map(({ name }) => name)))].sort()
  const who = instances.map(({ hello }) => `pid ${hello.pid}`).join(', ')
  const count = (n: number, what: string): string => `${n.toLocaleString('en-US')} ${what}${n === 1 ? '' : 's'}`
  const more = instances.some(({ hello }) => hello.open_ended === true)
    ? ', and those that come with their first call'
    : ''
  return {
    resources: names.map((name) => resourceOf(name, instances, count)),
    summary: `application ${config.app}, ${count(instances.length, 'instance')} (${who}), ${count(names.length, 'component')}${more}`,
  }
}

function resourceOf(name: string, instances: Instance[], count: (n: number, what: string) => string): Resource {
  const found = instances.flatMap(({ hello }) => hello.components.filter((c) => c.name === name))
  const calls = found.reduce((sum, c) => sum + c.calls, 0)
  const sync = found.some((c) => c.is_sync === true) ? SYNCHRONOUS : ''
  const on = instances.length > 1 ? ` on ${count(found.length, 'instance')}` : ''
  return { id: name, name, kind: 'component', detail: `${count(calls, 'call')}${on}${sync}` }
}

function textOf(silences: readonly { address: string; message: string }[]): string {
  return silences.map(({ address, message }) => `${address}: ${message}`).join('; ')
}
