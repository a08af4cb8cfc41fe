/**
 * Linux hosts for tests: systemd-nspawn machines with systemd, sshd and nginx, each with its own network namespace and
 * address on a bridge, and a disk of its own (an overlay over a loop-mounted ext4, so that `/` really fills up and a power
 * cut really loses what was not synced). One Debian tree is made once and shared by all. Needs root.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { Host } from './hosts/host.ts'
import type { HostPlace } from './hosts/host.ts'
import { exec, onPath, runs, startOf } from './hosts/system.ts'
import { debianTree } from './hosts/tree.ts'

export { Host } from './hosts/host.ts'

export interface HostsOptions {
  count: number
  /** Folders and files of this machine that every host sees, read-only: here → there. */
  binds?: Record<string, string>
  /** `test-<pid>` unless given; one that is there already is started where it is down. */
  name?: string
  diskMb?: number
}

export interface Hosts {
  readonly hosts: readonly Host[]
  /** This machine, as the hosts see it. */
  readonly gateway: string
  /** The key that root and chaos accept. */
  readonly key: string
  /** Ends the hosts and removes all that was made for them. */
  remove(): Promise<void>
}

interface Fleet {
  name: string
  net: number
  count: number
  binds: Record<string, string>
  /** The test that made it; absent for one made by hand. */
  owner?: { pid: number; start: string | undefined }
}

const TOOLS = ['systemd-nspawn', 'mmdebstrap', 'ip', 'nsenter', 'mkfs.ext4', 'ssh-keygen', 'perl']

/** Why there can be no hosts here, for the `skip` option of tests; undefined when there can. */
export function hostsMissing(): string | undefined {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return 'hosts need root on Linux'
  const missing = TOOLS.filter((tool) => !onPath(tool))
  return missing.length === 0 ? undefined : `hosts need ${missing.join(', ')}`
}

export async function startHosts(options: HostsOptions): Promise<Hosts> {
  const reason = hostsMissing()
  if (reason !== undefined) throw new Error(reason)
  await removeAbandoned()
  const tree = await debianTree(folder())
  const made = options.name === undefined ? undefined : readRecord(options.name)
  const record = made ?? (await newFleet(options))
  const hosts = placesOf(record, tree).map((place) => new Host(place))
  for (const host of hosts) await host.create(options.diskMb ?? 512, `${keyFile()}.pub`)
  for (const host of hosts) if (!host.running) await host.boot()
  for (const host of hosts) await host.booted()
  return { hosts, gateway: `10.77.${record.net}.1`, key: keyFile(), remove: () => removeFleet(record) }
}

/** The fleets that are there, by name. */
export function fleets(): { name: string; hosts: Host[]; binds: Record<string, string> }[] {
  return records().map((record) => ({
    name: record.name,
    binds: record.binds,
    hosts: placesOf(record, '').map((place) => new Host(place)),
  }))
}

export async function removeHosts(name: string): Promise<boolean> {
  const record = readRecord(name)
  if (record) await removeFleet(record)
  return record !== undefined
}

/** Everything of the labs is in here. */
export function folder(): string {
  return resolve(process.env['CHAOS_LABS'] ?? join(homedir(), '.cache', 'chaos-labs'), 'hosts')
}

async function newFleet({ name, count, binds = {} }: HostsOptions): Promise<Fleet> {
  await madeKey()
  const record: Fleet = {
    name: name ?? `test-${process.pid}-${randomBytes(2).toString('hex')}`,
    net: await freeNet(),
    count,
    binds,
    ...(name === undefined ? { owner: { pid: process.pid, start: startOf(process.pid) } } : {}),
  }
  mkdirSync(join(folder(), 'fleets', record.name), { recursive: true })
  writeFileSync(recordFile(record.name), JSON.stringify(record))
  const bridge = bridgeOf(record.net)
  await exec('ip', 'addr', 'add', `10.77.${record.net}.1/24`, 'dev', bridge)
  await exec('ip', 'link', 'set', bridge, 'up')
  return record
}

/** The kernel says which bridge is free: to make one that is there fails. */
async function freeNet(): Promise<number> {
  for (let net = 0; net < 256; net++) if (await runs('ip', 'link', 'add', bridgeOf(net), 'type', 'bridge')) return net
  throw new Error('no network is free for hosts: remove some with npm run labs -- down')
}

function bridgeOf(net: number): string {
  return `chaoslab${net}`
}

function placesOf({ name, net, count, binds }: Fleet, tree: string): HostPlace[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `h${i + 1}`,
    dir: join(folder(), 'fleets', name, `h${i + 1}`),
    tree,
    binds,
    bridge: bridgeOf(net),
    namespace: `chaos-${net}-h${i + 1}`,
    address: `10.77.${net}.${11 + i}`,
  }))
}

async function removeFleet(record: Fleet): Promise<void> {
  const dir = join(folder(), 'fleets', record.name)
  const places = placesOf(record, '')
  for (const place of places) await new Host(place).remove()
  await runs('ip', 'link', 'del', bridgeOf(record.net))
  await rm(dir, { recursive: true, force: true })
}

/** What a test that was killed has left. */
async function removeAbandoned(): Promise<void> {
  for (const record of records())
    if (record.owner && startOf(record.owner.pid) !== record.owner.start) await removeFleet(record)
}

function records(): Fleet[] {
  const dir = join(folder(), 'fleets')
  return (existsSync(dir) ? readdirSync(dir) : []).flatMap((name) => readRecord(name) ?? [])
}

function readRecord(name: string): Fleet | undefined {
  try {
    return JSON.parse(readFileSync(recordFile(name), 'utf8')) as Fleet
  } catch {
    return undefined
  }
}

function recordFile(name: string): string {
  return join(folder(), 'fleets', name, 'fleet.json')
}

function keyFile(): string {
  return join(folder(), 'id')
}

async function madeKey(): Promise<void> {
  mkdirSync(folder(), { recursive: true })
  if (!existsSync(keyFile())) await runs('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', keyFile())
}
