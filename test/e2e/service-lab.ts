/** A lab host with the systemd unit in it, and the database that its nightly run breaks. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { forward } from '../labs/forward.ts'
import type { Forward } from '../labs/forward.ts'
import { startHosts } from '../labs/hosts.ts'
import type { Host, Hosts } from '../labs/hosts.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import type { Snapshot } from '../labs/snapshot.ts'
import { ChaosUnit, packageBinds } from './service-host.ts'

const SCHEMA = `
  create table customers (id serial primary key, name text not null, note text);
  create table stock (id serial primary key, name text not null, pieces integer not null);
  create table ledger (id serial primary key, what text);
  insert into customers (name) select 'customer ' || i from generate_series(1, 50) i;
  insert into stock (name, pieces) select 'thing ' || i, i from generate_series(1, 200) i;`

/** A run is due every so often, and takes less than half of it. */
const EVERY_S = 20
export const PHASES = ['apply', 'soak', 'rollback'] as const
const STATE = ['--state-dir', '/var/lib/chaos-agents']
/** The server ends a session a little after its client is gone; what a run leaves stays. */
const SESSION_ENDS_MS = 15_000

export class ServiceLab {
  readonly server: Postgres
  readonly host: Host
  readonly unit: ChaosUnit
  readonly #hosts: Hosts
  readonly #bridge: Forward
  readonly #fresh: Snapshot

  private constructor(server: Postgres, hosts: Hosts, bridge: Forward, fresh: Snapshot) {
    this.server = server
    this.#hosts = hosts
    this.host = hosts.hosts[0]!
    this.unit = new ChaosUnit(this.host)
    this.#bridge = bridge
    this.#fresh = fresh
  }

  static async open(): Promise<ServiceLab> {
    const server = await startPostgres()
    await server.sql(SCHEMA)
    const hosts = await startHosts({ count: 1, binds: packageBinds })
    const bridge = await forward(hosts.gateway, server.port)
    const lab = new ServiceLab(server, hosts, bridge, await snapshot(server.url()))
    await lab.unit.install(lab.config(), 'canary-password')
    lab.unit.follow()
    return lab
  }

  async close(): Promise<void> {
    this.unit.close()
    await this.#hosts.remove()
    this.#bridge.close()
    await this.server.stop()
  }

  config(more = ''): string {
    return `
settings: {stop_deadline: 60s}
experiments:
  - name: nightly
    target: database
    target_config:
      connection_url: postgres://postgres:\${file:$CREDENTIALS_DIRECTORY/db-password}@${this.#hosts.gateway}:${this.#bridge.port}/postgres
    skills:
      - {skill_name: db.insert_load, params: {tables: [customers], rows_per_table: 8000, batch_rows: 500}}
      - {skill_name: db.update_load, params: {tables: [stock], rows: 100}}
      - {skill_name: db.config_change, params: {changes: [{param: work_mem, value: 5MB}]}}
      - {skill_name: db.table_lock, params: {tables: [ledger]}}
    duration: 2s
    schedule: '*/${EVERY_S} * * * * *'
${more}`
  }

  async startUnit(): Promise<void> {
    const { code, err } = await this.unit.systemctl('start', 'chaos.service')
    if (code !== 0) assert.fail(`${err}\n${await this.host.sh('journalctl -u chaos.service -n 20 -o cat')}`)
    assert.equal(await this.unit.show('ActiveState'), 'active')
  }

  async powerCut(): Promise<void> {
    await this.host.powerCut()
    await this.host.boot()
    await this.host.booted()
    this.unit.follow()
  }

  /** Nothing of ours is in the database, and nothing is pending. The daemon is up and may begin a run at any time. */
  async assertNothingLeft(what: string): Promise<void> {
    // Undoes what has just begun, and begins nothing while it is looked.
    await this.#chaos('freeze', `a look: ${what}`)
    await this.assertNothingLeftStopped(what)
    await this.#chaos('unfreeze')
  }

  /** The same, where no daemon is up. */
  async assertNothingLeftStopped(what: string): Promise<void> {
    const end = Date.now() + SESSION_ENDS_MS
    let left: string[]
    do left = diff(this.#fresh, await snapshot(this.server.url()))
    while (
      left.length > 0 &&
      left.every((line) => line.startsWith('session ')) &&
      Date.now() < end &&
      (await sleep(200, true))
    )
    assert.deepEqual(left, [], what)
    const files = await this.host.sh('cd /var/lib/chaos-agents && ls journal secrets | grep -v : || true')
    assert.equal(files.trim(), '', what)
  }

  /** The next due time becomes a run when it is due. No run is under way. Returns where the log begins to say so. */
  async assertNextRunOnTime(): Promise<number> {
    const [mark, after] = [this.unit.mark, Date.now()]
    const due = await this.unit.until((line) => line.msg === 'schedule.due' && Date.parse(line.slot!) > after, mark)
    const next = (Math.floor(after / (EVERY_S * 1000)) + 1) * EVERY_S * 1000
    const lines = this.unit.since(mark).map((line) => JSON.stringify(line))
    assert.equal(Date.parse(due.slot!), next, `not the very next one:\n${lines.join('\n')}`)
    assert.ok(Date.parse(due.time) - Date.parse(due.slot!) < 5_000, `due at ${due.slot}, begun at ${due.time}`)
    return mark
  }

  async #chaos(...args: string[]): Promise<void> {
    const { code, out, err } = await this.host.run('chaos', ...args, ...STATE)
    assert.equal(code, 0, out + err)
  }
}

export function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
