/** A real Prometheus watches a real daemon on a real database; and what becomes of an address that is taken. */
import assert from 'node:assert/strict'
import { connect as connectTo, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { parse } from 'yaml'
import type { ChaosEvent } from '../../src/core/events.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { prometheusMissing, startPrometheus } from '../labs/prometheus.ts'
import { Chaos } from './chaos.ts'
import type { Running } from './chaos.ts'
import { connect, differences, readRows, SCHEMA } from './world.ts'

const TOKEN = 'canary-token-of-the-watcher'
const ALERTS = fileURLToPath(new URL('../../deploy/alerts.yml', import.meta.url))
const SCRAPE = fileURLToPath(new URL('../../deploy/prometheus.yml', import.meta.url))

describe('health and metrics', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let watcher: pg.Client
  let chaos: Chaos

  before(async () => {
    server = await startPostgres()
    await server.sql(SCHEMA)
    watcher = await connect(server.url())
  })
  after(async () => {
    await watcher.end()
    await server.stop()
  })
  beforeEach(() => void (chaos = new Chaos()))
  afterEach(() => chaos.remove())

  const experiment = (name: string, schedule: string, more: object = {}): object => ({
    experiment: {
      ...{ name, target: 'database', target_config: { connection_url: server.url() } },
      skills: [{ skill_name: 'db.insert_load', params: { tables: ['plain'], rows_per_table: 20 } }],
      duration: '300ms',
      ...more,
    },
    schedule,
  })
  const urlOf = async (daemon: Running): Promise<string> => {
    const event = await daemon.until((e) => e.type === 'health.listening')
    assert.ok(event.type === 'health.listening')
    return event.url
  }
  const stop = async (daemon: Running): Promise<void> => {
    daemon.child.kill('SIGTERM')
    await daemon.exit
  }
  const isOver = (name: string) => (e: ChaosEvent) => e.type === 'run.finished' && e.report.experiment === name

  test(
    'Prometheus sees runs by outcome, the next run, skips, the journal, and a daemon that is gone',
    {
      skip: prometheusMissing(),
    },
    async () => {
      const file = chaos.config({
        settings: { health_bind: '127.0.0.1:0', health_token: TOKEN },
        experiments: [
          experiment('good', '*/2 * * * * *'),
          experiment('ineffective', '*/3 * * * * *', {
            skills: [{ skill_name: 'db.update_load', params: { tables: ['empty_one'], rows: 5 } }],
          }),
          experiment('long', '* * * * * *', {
            duration: '3s',
            skills: [{ skill_name: 'db.table_lock', params: { tables: ['audit'] } }],
          }),
          experiment('yearly', '0 0 2 1 1 *'),
        ],
      })
      await server.sql('create table if not exists empty_one (id serial primary key, label text)')
      const daemon = chaos.start(['daemon', file, '--json'])
      const target = new URL(await urlOf(daemon)).host
      const [given] = (parse(readFileSync(SCRAPE, 'utf8')) as { scrape_configs: object[] }).scrape_configs
      const prometheus = await startPrometheus({
        global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
        rule_files: [ALERTS],
        scrape_configs: [
          { ...given, static_configs: [{ targets: [target] }], authorization: { credentials: TOKEN } },
          { job_name: 'stranger', static_configs: [{ targets: [target] }] },
        ],
      })
      try {
        await prometheus.until('up{job="chaos-agents"}', ([up]) => up?.value === 1)
        await Promise.all([
          daemon.until(isOver('good')),
          daemon.until(isOver('ineffective')),
          daemon.until(isOver('long')),
        ])
        await prometheus.until(
          'chaos_runs_total{experiment="good",target="database",outcome="completed"}',
          ([runs]) => {
            return (runs?.value ?? 0) >= 1
          },
        )
        await prometheus.until('chaos_runs_total{experiment="ineffective",outcome!="completed"} > 0', ([runs]) => {
          return runs !== undefined
        })
        await prometheus.until('chaos_slots_skipped_total{experiment="long",cause="overlap"}', ([skips]) => {
          return (skips?.value ?? 0) >= 1
        })
        const [next] = await prometheus.query('chaos_next_run_timestamp_seconds{experiment="yearly"}')
        const newYear = Date.UTC(new Date().getUTCFullYear() + 1, 0, 1, 2) / 1_000
        assert.equal(next?.value, newYear)
        const [interval] = await prometheus.query('chaos_schedule_interval_seconds{experiment="good"}')
        assert.equal(interval?.value, 2)
        const one = async (expr: string): Promise<number | undefined> => (await prometheus.query(expr))[0]?.value
        // An event is there before the next scrape has seen it.
        for (const expr of [
          'chaos_journal_syncs_total > 0',
          'chaos_journal_sync_seconds_total > 0',
          'chaos_rollback_seconds_count{experiment="good"} > 0',
          'chaos_soak_seconds_sum{experiment="long"} > 2',
          'time() - chaos_last_success_timestamp_seconds{experiment="good"} < 300',
          'chaos_residue == 0',
          'chaos_schedule_interval_seconds{experiment="good"} == 2',
        ]) {
          await prometheus.until(expr, ([sample]) => sample !== undefined)
        }
        assert.deepEqual([await one('chaos_ready'), await one('chaos_frozen')], [1, 0])
        // Who has no token gets nothing; its first scrape may come later than all others.
        await prometheus.until('up{job="stranger"}', ([up]) => up?.value === 0)
        const { data } = (await prometheus.get('/api/v1/rules')) as {
          data: { groups: { rules: { name: string; health: string; state: string; lastError?: string }[] }[] }
        }
        const rules = data.groups.flatMap((group) => group.rules)
        assert.ok(rules.length >= 10)
        for (const rule of rules) assert.equal(rule.health, 'ok', `${rule.name}: ${rule.lastError}`)
        assert.deepEqual(
          rules.filter((rule) => rule.state === 'firing').map((rule) => rule.name),
          [],
        )
        await stop(daemon)
        await prometheus.until('up{job="chaos-agents"}', ([up]) => up?.value === 0)
        await prometheus.until(
          'ALERTS{alertname="ChaosDaemonDown",alertstate="pending"}',
          ([alert]) => alert !== undefined,
        )
      } finally {
        await prometheus.stop()
        await stop(daemon)
      }
      const { out, err } = await daemon.exit
      assert.doesNotMatch(out + err, /canary-token/)
    },
  )

  test('/readyz follows the daemon from its recovery to its end, and a connection that is kept open does not delay that', async () => {
    const file = chaos.config({
      settings: { health_bind: '127.0.0.1:0' },
      experiments: [experiment('nightly', '* * * * * *', { duration: '60s' })],
    })
    const daemon = chaos.start(['daemon', file, '--json'])
    const url = await urlOf(daemon)
    await daemon.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    assert.equal((await fetch(`${url}/readyz`)).status, 200)
    const status = (await (await fetch(`${url}/status`)).json()) as { running: { experiment: string }[] }
    assert.equal(status.running[0]?.experiment, 'nightly')
    const kept = connectTo(Number(new URL(url).port), '127.0.0.1')
    kept.on('error', () => undefined)
    kept.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    const begun = performance.now()
    daemon.child.kill('SIGTERM')
    const { code, out } = await daemon.exit
    assert.equal(code, 0, out)
    assert.ok(performance.now() - begun < 60_000)
    kept.destroy()
  })

  test('an address that is taken ends the daemon with 2 before any fault, but what an earlier one left is undone first', async () => {
    const rows = await readRows(watcher)
    const experiments = [experiment('nightly', '* * * * * *', { duration: '60s' })]
    const first = chaos.start(['daemon', chaos.config({ experiments }), '--json'])
    await first.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    for (const { pid } of chaos.holder()!.workers) process.kill(pid, 'SIGKILL')
    first.child.kill('SIGKILL')
    await first.exit
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const file = chaos.config({ settings: { health_bind: `127.0.0.1:${port}` }, experiments })
    const { code, out, err } = await chaos.run(['daemon', file, '--json'])
    other.close()
    assert.equal(code, 2, out + err)
    assert.match(err, new RegExp(`settings\\.health_bind: cannot listen on 127\\.0\\.0\\.1:${port}: another process`))
    assert.doesNotMatch(out, /"type":"(run\.started|schedule\.due|daemon\.ready)"/)
    assert.deepEqual(differences(rows, await readRows(watcher)), [])
  })

  test('without health_bind the daemon listens nowhere', async () => {
    const daemon = chaos.start(['daemon', chaos.config({ experiments: [experiment('n', '0 0 2 1 1 *')] }), '--json'])
    await daemon.until((e) => e.type === 'daemon.ready')
    const mine = new Set(readSockets(daemon.child.pid!))
    const listening = ['tcp', 'tcp6']
      .flatMap((name) => readFileSync(`/proc/${daemon.child.pid}/net/${name}`, 'utf8').split('\n').slice(1))
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode]) => state === '0A' && mine.has(inode ?? ''))
    await stop(daemon)
    assert.deepEqual(listening, [])
  })
})

/** The inodes of a process's open sockets. */
function readSockets(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
    } catch {
      return []
    }
  })
}
