/** Two real processes of one application that is called all the time: what a kill leaves shows in its calls and in its leases. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { applicationClient } from '../../src/targets/application/client.ts'
import { config } from '../../src/targets/application/config.ts'
import { FAULTS, ShopProcess } from '../fakes/shop.ts'
import type { Health } from '../fakes/shop.ts'
import type { World } from './worlds.ts'

/** Far longer than a recovery takes: what is gone then was ended, and has not just run out. */
const LEASE = '60s'
/** In which each component is called a few times, so that its fault is met. */
const SOAK_MS = 60
/** One skill is held for longer than a third of its lease: it dies in a renewal, too. */
const RENEWED = { skill: 'app.latency', lease: '1s', soakMs: 450 }
/** A busy machine makes single calls slow. */
const ROUNDS = 5

export async function applicationWorld(): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'chaos-crash-app-'))
  const target_config = config.parse({ app: 'shop', socket: join(dir, '*.sock') })
  const client = applicationClient(target_config)
  let shops: ShopProcess[] = []
  const open = async (): Promise<void> => {
    shops = ['one', 'two'].map((name) => new ShopProcess({ socket: join(dir, `${name}.sock`), pause_ms: 5 }))
    for (const shop of shops) await shop.healthy()
  }
  await open()

  const callsOf = async (shop: ShopProcess): Promise<string> => {
    const { search, pay, mail } = await shop.next()
    return JSON.stringify({ search, pay, mail } satisfies Omit<Health, 'address'>)
  }
  return {
    target: 'application',
    target_config,
    params(skill) {
      const params = FAULTS.find((fault) => fault.skill === skill)?.params
      const lease = skill === RENEWED.skill ? RENEWED.lease : LEASE
      return { ...params, components: ['pay', 'search'], lease }
    },
    soakMs: (skill) => (skill === RENEWED.skill ? RENEWED.soakMs : SOAK_MS),
    async picture() {
      const before = await Promise.all(shops.map(callsOf))
      return { residue: async () => [...(await leasesLeft()), ...(await changed(before))] }
    },
    /** The application is started anew at the same sockets. */
    async replace() {
      for (const shop of shops) await shop.kill()
      await open()
    },
    async close() {
      for (const shop of shops) await shop.kill()
      rmSync(dir, { recursive: true, force: true })
    },
  }

  async function leasesLeft(): Promise<string[]> {
    const signal = AbortSignal.timeout(10_000)
    const { instances, silences } = await client.look(signal)
    const leases = await Promise.all(instances.map(async ({ address }) => client.leases(address, signal)))
    return [
      ...silences.map(({ address, message }) => `${address} does not answer: ${message}`),
      ...(instances.length === shops.length ? [] : [`${instances.length} of ${shops.length} instances answer`]),
      ...leases
        .flat()
        .flatMap((lease) => (lease.in_force ? [`lease ${lease.mark} on ${lease.components.join()}`] : [])),
    ]
  }

  /** A call that was under way when its fault ended may still end late or wrong: the next round must be right. */
  async function changed(before: readonly string[]): Promise<string[]> {
    const each = shops.map(async (shop, i) => {
      let now = ''
      for (let round = 0; round < ROUNDS && now !== before[i]; round++) now = await callsOf(shop)
      return now === before[i] ? [] : [`calls were ${before[i] ?? ''}, now ${now}`]
    })
    return (await Promise.all(each)).flat()
  }
}
