/** Locks of a real server that have to last: fail-safes longer than the hold, and a lock that ends too soon named, whoever else is held. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { systemClock } from '../../src/core/clock.ts'
import type { EventBody } from '../../src/core/events.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import type { Report } from '../../src/core/report.ts'
import type { Agent, AgentApplyContext as ApplyContext, Target } from '../../src/core/target.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { DbSession } from '../../src/targets/database/client.ts'
import { database } from '../../src/targets/database/index.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const TABLES = ['a', 'b', 'c']
let server: Postgres
let stranger: pg.Client
const folder = mkdtempSync(join(tmpdir(), 'chaos-held-'))
before(async () => {
  server = await startPostgres()
  await server.sql(TABLES.map((name) => `create table ${name} (id int primary key)`).join(';'))
  stranger = new pg.Client({ connectionString: server.url() })
  await stranger.connect()
})
after(async () => {
  await stranger.end()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

const lock = (table: string, wait = '5s', spread = false) => ({
  ...{ skill_name: 'db.table_lock', params: { tables: [table], wait }, spread },
})

let runs = 0

/** `given`: what is changed of, or seen in, what a skill is given to apply with. */
async function run(
  skills: object[],
  more: Partial<Experiment>,
  watch: (event: EventBody) => void,
  given: (step: { tables: { id: string }[] }, ctx: ApplyContext) => ApplyContext = (_step, ctx) => ctx,
): Promise<{ report: Report; told: EventBody[] }> {
  const name = `run${++runs}`
  const state = await openStateDir(join(folder, name))
  const target: Target = {
    ...database,
    async connect(config, options) {
      const agent = await database.connect(config, options)
      const apply: Agent['apply'] = (skill, step, ctx) =>
        agent.apply(skill, step, given(step as { tables: { id: string }[] }, ctx))
      return { ...agent, apply }
    },
  }
  const told: EventBody[] = []
  const target_config = { connection_url: server.url(), db_type: 'postgres', schemas: [] }
  const report = await runExperiment({
    experiment: fakeExperiment(skills, { target: 'database', target_config, duration_ms: 60_000, ...more }),
    ...{ target, ...state, run: name, seed: 's', clock: systemClock, signal: new AbortController().signal },
    emit(event) {
      told.push(event)
      watch(event)
    },
    claim: () => Promise.resolve({ waited: false }),
  })
  return { report, told }
}

const endLockOn = (table: string): Promise<unknown> =>
  server.sql(`select pg_terminate_backend(l.pid) from pg_locks l where l.mode = 'AccessExclusiveLock' and l.granted
    and l.relation = '${table}'::regclass`)
const failed = (told: EventBody[]): string[] =>
  told.flatMap((e) => (e.type === 'step.failed' ? [`${e.step.resource}: ${e.error}`] : []))

test('issue 11: the fail-safe of the first lock ends it while the second waits for a stranger: it is named, and the run is not completed', async () => {
  await stranger.query('begin; lock table b')
  try {
    const { report, told } = await run(
      [lock('a'), lock('b', '30s')],
      {},
      () => undefined,
      ({ tables }, ctx) => (tables[0]?.id === 'public.a' ? { ...ctx, heldMs: 700 } : ctx),
    )
    assert.deepEqual([report.outcome, report.code, report.exit_code, report.residue], ['failed', 'STEP_FAILED', 1, []])
    assert.match(report.reason ?? '', /on public\.a\) failed: it ended by itself after .*idle-in-transaction timeout/)
    assert.match(report.steps[0]?.error ?? '', /ended by itself/)
    assert.match(failed(told)[0] ?? '', /^public\.a: it ended by itself/)
    assert.ok(!told.some((e) => e.type === 'run.phase' && e.phase === 'soak'), 'at once, and not after the wait')
  } finally {
    await stranger.query('rollback')
  }
})

for (const parallel of [false, true]) {
  const how = parallel ? 'side by side' : 'one after the other'
  test(`issue 11: of three locks, ${how} and one spread over the soak, an administrator ends one: it is named, and all are undone`, async () => {
    const skills = [lock('a'), lock('b'), lock('c', '5s', true)]
    const { report, told } = await run(skills, { parallel }, (event) => {
      if (event.type === 'step.applied' && event.step.resource === 'public.c') void endLockOn('b')
    })
    assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
    assert.match(report.reason ?? '', /on public\.b\) failed: it ended by itself/)
    assert.deepEqual(
      failed(told).map((text) => text.slice(0, 8)),
      ['public.b'],
    )
    assert.deepEqual(
      report.steps.map(({ state }) => state),
      ['reverted', 'reverted', 'reverted'],
    )
  })

  test(`issue 11: every lock, ${how}, lasts longer on the server than it can be held: for the waits to come, the soak and the undo`, async () => {
    const soak = 1_500
    const waits: Record<string, number> = { 'public.a': 5_000, 'public.b': 75_000, 'public.c': 30_000 }
    const held = new Map<string, { since: number; failsafe: Promise<number>; until: Promise<number> }>()
    await stranger.query('begin; lock table b')
    setTimeout(() => void stranger.query('rollback'), 1_000)
    const skills = [lock('a'), lock('b', '75s'), lock('c', '30s', true)]
    const { report } = await run(
      skills,
      { parallel, duration_ms: soak },
      () => undefined,
      ({ tables }, ctx) => ({
        ...ctx,
        hold(resource) {
          const session = resource as DbSession
          // Asked in the very session that holds the lock.
          const failsafe = session
            .query<{ ms: string }>(
              `select setting as ms from pg_settings where name = 'idle_in_transaction_session_timeout' and unit = 'ms'`,
            )
            .then(([row]) => Number(row?.ms))
          let over: (at: number) => void
          const until = new Promise<number>((resolve) => (over = resolve))
          const close = session.close.bind(session)
          session.close = () => {
            over(performance.now())
            return close()
          }
          held.set(tables[0]?.id ?? '', { since: performance.now(), failsafe, until })
          ctx.hold(resource)
        },
      }),
    )
    assert.equal(report.outcome, 'completed', report.reason)
    assert.deepEqual([...held.keys()].sort(), Object.keys(waits))
    const names = [...held.keys()]
    for (const [i, name] of names.entries()) {
      const { since, failsafe, until } = held.get(name)!
      const [armed, real] = [await failsafe, (await until) - since]
      // What may still be waited for behind it, whether that is needed or not.
      const ahead = names.slice(i + 1).reduce((sum, later) => sum + (waits[later] ?? 0), soak)
      assert.ok(armed > real && armed > ahead, `${name}: armed ${armed}, held ${real}, may wait ${ahead}`)
    }
  })
}
