/** Field case D9: the session that holds our lock is ended, and the run is not completed; and a lock that would wait behind our own. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { systemClock } from '../../src/core/clock.ts'
import type { EventBody } from '../../src/core/events.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { database } from '../../src/targets/database/index.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

let server: Postgres
const folder = mkdtempSync(join(tmpdir(), 'chaos-lost-'))
before(async () => {
  server = await startPostgres()
  await server.sql('create table a (id int primary key); create table b (id int primary key)')
})
after(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

const lock = (table: string, wait: string) => ({ skill_name: 'db.table_lock', params: { tables: [table], wait } })

async function run(name: string, skills: object[], watch: (event: EventBody) => void) {
  const state = await openStateDir(join(folder, name))
  const events: EventBody[] = []
  const target_config = { connection_url: server.url(), db_type: 'postgres', schemas: [] }
  const report = await runExperiment({
    experiment: fakeExperiment(skills, { target: 'database', target_config, duration_ms: 60_000 }),
    ...{ target: database, ...state, run: name, seed: 's', clock: systemClock, signal: new AbortController().signal },
    emit(event) {
      events.push(event)
      watch(event)
    },
    claim: () => Promise.resolve({ waited: false }),
  })
  return { report, events }
}

const endLocks = () =>
  server.sql(`select pg_terminate_backend(l.pid) from pg_locks l where l.mode = 'AccessExclusiveLock' and l.granted
    and l.relation = 'a'::regclass`)

test('D9: pg_terminate_backend in the soak', async () => {
  const { report, events } = await run('soak', [lock('a', '5s')], (event) => {
    if (event.type === 'run.phase' && event.phase === 'soak') void endLocks()
  })
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
  assert.match(report.reason ?? '', /ended by itself after .*terminating connection due to administrator command/)
  assert.equal(report.steps[0]?.state, 'reverted')
  assert.ok(events.some((event) => event.type === 'step.failed' && /administrator/.test(event.error)))
})

test('D9: the first of two locks ends while the second is still waited for', async () => {
  const blocker = new pg.Client({ connectionString: server.url() })
  await blocker.connect()
  await blocker.query('begin; lock table b')
  try {
    const { report } = await run('second', [lock('a', '5s'), lock('b', '50s')], (event) => {
      if (event.type === 'step.applied' && event.step.resource === 'public.a') setTimeout(() => void endLocks(), 300)
    })
    assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
    assert.match(report.reason ?? '', /on public\.a\) failed: it ended by itself/)
  } finally {
    await blocker.end()
  }
})

test('two locks of one run on one table: the second is refused in plan, by its place, and nothing is touched', async () => {
  const { report, events } = await run('twice', [lock('b', '5s'), lock('a', '5s'), lock('a', '5s')], () => undefined)
  assert.deepEqual([report.exit_code, report.residue, report.steps], [2, [], []])
  assert.match(
    report.reason ?? '',
    /skills\[2\]\.params\.tables: .*ACCESS EXCLUSIVE on public\.a: an earlier db\.table_lock of this run/,
  )
  assert.ok(!events.some((event) => event.type === 'step.applying'))
})
