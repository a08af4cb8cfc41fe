/**
 * Schemas in the shapes of public projects (field case D8): how much of each is served, and why the rest is not; what is
 * served is filled, updated and put back by real processes, some of them killed meanwhile, and nothing differs afterwards.
 *
 *   npm run shapes
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Chaos, signal } from '../../e2e/chaos.ts'
import { startPostgres } from '../../labs/embedded-postgres.ts'
import type { Postgres } from '../../labs/embedded-postgres.ts'
import { diff, snapshot } from '../../labs/snapshot.ts'
import type { Snapshot } from '../../labs/snapshot.ts'
import { coverageOf, discoverAgrees } from './coverage.ts'
import { SHAPES } from './facts.ts'
import type { Kind, Shape } from './facts.ts'
import { schemaOf } from './schema.ts'

/** Their triggers let rows of ours in and out again; a guard refuses rows that fill the column it guards. */
const FIRING: readonly Kind[] = ['stamp', 'count', 'agree', 'log', 'queue']
/** Tables that these triggers write to for good. */
const TRACES = ['public.changes', 'public.gone']

/** What was counted on eleven public schemas, of 1,211 tables; the first reason of each counts. */
const COUNTED = {
  triggers: [208, ['touch', 'search', 'stamp', 'count', 'log', 'queue', 'agree', 'guard']],
  'triggers for UPDATE only': [30, ['touch']],
  partitions: [72, ['leaf']],
  'no key': [61, ['loose', 'keyless']],
  'no parent row': [47, ['orphan']],
  'one row, or a type': [10, ['one row', 'odd']],
} as const

/** The shares that are wanted: of the schemas as they are published, and with a few rows. */
const WANTED = { served: 0.85, allowed: 0.95 }
type State = 'without rows' | 'with rows'

describe('D8: schemas in the shapes of public projects', { timeout: 60 * 60_000 }, () => {
  let server: Postgres
  let chaos: Chaos
  const total = {
    'without rows': { tables: 0, served: 0, allowed: 0 },
    'with rows': { tables: 0, served: 0, allowed: 0 },
  }
  before(async () => {
    server = await startPostgres()
    chaos = new Chaos()
  })
  after(async () => {
    chaos.remove()
    await server.stop()
  })

  test('their mix is that of the public schemas', (t) => {
    const counts = new Map<string, number>()
    for (const shape of SHAPES)
      for (const [kind, ids] of schemaOf(shape).tables) counts.set(kind, (counts.get(kind) ?? 0) + ids.length)
    const all = [...counts.values()].reduce((sum, n) => sum + n, 0)
    t.diagnostic(`${all} tables in ${SHAPES.length} shapes`)
    for (const [what, [of, kinds]] of Object.entries(COUNTED)) {
      const n = kinds.reduce((sum, kind) => sum + (counts.get(kind) ?? 0), 0)
      t.diagnostic(`${what}: ${n} (${percent(n / all)}), counted were ${percent(of / 1_211)}`)
      assert.ok(Math.abs(n / all - of / 1_211) < 0.005, what)
    }
  })

  for (const shape of SHAPES) {
    const killed = shape.killed ? ', also from a process that was killed' : ''
    test(`${shape.name}: what is served comes back${killed}`, async (t) => {
      const database = shape.name.replaceAll(/\W/g, '_')
      const url = server.url(database)
      const { create, fill, tables } = schemaOf(shape)
      await server.sql(`create database ${database}`)
      await server.sql(create, database)
      await measure(t, shape, 'without rows', url)
      await server.sql(`${fill}; analyze`, database)
      await measure(t, shape, 'with rows', url)
      await discoverAgrees(url)

      const fresh = await snapshot(url)
      const inserts = { skill_name: 'db.insert_load', params: { rows_per_table: 20 } }
      const updates = { skill_name: 'db.update_load', params: { rows: 300 } }
      for (const skills of shape.killed ? [[inserts], [updates]] : [[inserts, updates]]) {
        await comesBack(t, shape, url, skills)
        assert.deepEqual(await differences(fresh, database), [])
      }
      const named = FIRING.flatMap((kind) => tables.get(kind) ?? [])
      if (named.length === 0) return
      const params = { tables: named, rows_per_table: 20, triggers: 'allow' }
      await comesBack(t, shape, url, [{ ...inserts, params }])
      const left = await differences(fresh, database)
      assert.deepEqual(
        left.filter((line) => !TRACES.some((id) => line.startsWith(`${id}: row`))),
        [],
      )
    })
  }

  test('no fewer tables are served than were, and what is missing is said', (t) => {
    const counts = Object.entries(total).flatMap(([state, { tables, ...reached }]) =>
      Object.entries(reached).map(([how, n]) => ({
        state: state as State,
        how: how as keyof typeof WANTED,
        n,
        tables,
      })),
    )
    for (const { state, how, n, tables } of counts) {
      const missing = Math.ceil(WANTED[how] * tables) - n
      const goal = `${missing > 0 ? `${missing} fewer than` : 'at least'} the ${percent(WANTED[how])} that are wanted`
      t.diagnostic(`${state}: ${n} of ${tables} tables ${how} (${percent(n / tables)}), ${goal}`)
    }
  })

  async function measure(t: TestContext, { name }: Shape, state: State, url: string): Promise<void> {
    const { tables, served, allowed, lines } = await coverageOf(url)
    total[state].tables += tables
    total[state].served += served
    total[state].allowed += allowed
    const [counts = '', ...reasons] = lines
    for (const line of [`${name}, ${state}: ${counts}`, ...reasons]) t.diagnostic(line)
  }

  /** One run of the real command for each skill, and its undo; killed in the soak where the shape says so. */
  async function comesBack(t: TestContext, { name, killed }: Shape, url: string, skills: object[]): Promise<void> {
    const file = chaos.config({
      experiments: skills.map((skill, i) => ({
        ...{ name: `${i + 1}`, target: 'database', target_config: { connection_url: url }, skills: [skill] },
        ...{ duration: killed ? '10m' : '100ms', limits: { percent: 100, resources: 1_000 } },
      })),
    })
    const running = chaos.start(['run', file, '--json'])
    const applied = (out: string): number => out.split('"type":"step.applied"').length - 1
    if (!killed) {
      const { code, out, err } = await running.exit
      assert.equal(code, 0, out.slice(-4_000) + err)
      t.diagnostic(`${name}: ${applied(out)} steps applied and undone`)
      return
    }
    await running.until((event) => event.type === 'run.phase' && event.phase === 'soak')
    const workers = chaos.holder()?.workers ?? []
    assert.equal(workers.length, 1)
    running.child.kill('SIGKILL')
    for (const worker of workers) signal(worker.pid, 'SIGKILL')
    const { out } = await running.exit
    const recovered = await chaos.run(['recover'])
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    t.diagnostic(`${name}: killed after ${applied(out)} steps were applied, and recovered`)
  }

  /** The server takes a moment to see that connections of ours have ended. */
  async function differences(fresh: Snapshot, database: string): Promise<string[]> {
    const ours = `select from pg_stat_activity where datname = '${database}' and application_name like 'chaos-%'`
    for (let i = 0; i < 600 && (await server.sql(ours)).length > 0; i++) await sleep(100)
    return diff(fresh, await snapshot(server.url(database)))
  }
})

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
