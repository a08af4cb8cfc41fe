/** The target fails us instead of the process: connections cut at any byte, a server gone, rights taken, locks held, strangers at work. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { systemClock } from '../../src/core/clock.ts'
import type { EventBody } from '../../src/core/events.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import { seededRandom } from '../../src/core/random.ts'
import type { Report } from '../../src/core/report.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { mintRun } from '../../src/journal/names.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { database } from '../../src/targets/database/index.ts'
import { tcpCutter } from '../fakes/tcp-cutter.ts'
import { experimentOf } from './matrix.ts'
import { seedOfCommit } from '../seed.ts'
import { databaseWorld } from './worlds.ts'

/** Of each skill and direction. */
const CUTS = Number(process.env['CHAOS_CUTS'] ?? 5)
const seed = process.env['CHAOS_SEED'] ?? seedOfCommit()

let world: Awaited<ReturnType<typeof databaseWorld>>
let state: StateDir
let folder: string

before(async () => {
  world = await databaseWorld()
  folder = mkdtempSync(join(tmpdir(), 'chaos-faults-'))
  state = await openStateDir(join(folder, 'state'))
})
after(async () => {
  await world.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Runs it in this process; during the soak `meddle` is awaited, then the run is aborted, which undoes everything. */
async function run(experiment: Experiment, meddle?: () => Promise<unknown>): Promise<Report> {
  const stop = new AbortController()
  const emit = (event: EventBody): void => {
    if (meddle && event.type === 'run.phase' && event.phase === 'soak')
      void meddle().then(
        () => stop.abort(new Error('enough')),
        (error: unknown) => stop.abort(error),
      )
  }
  return runExperiment({
    ...{ experiment, target: database, ...state, run: mintRun(Date.now()), seed: 'faults', clock: systemClock },
    ...{ signal: stop.signal, emit, claim: () => Promise.resolve({ waited: false }) },
  })
}

/** What a daemon does afterwards, until nothing is open; the residue that it names meanwhile. */
async function recover(noProgressMs = 30_000): Promise<Report['residue']> {
  const residue: Report['residue'] = []
  for (const { started } of await state.runs.list()) {
    if (!started) continue
    const report = await recoverRun({
      ...{ ...state, run: started.run, target: database, targetConfigs: [world.target_config], noProgressMs },
      ...{ clock: systemClock, signal: new AbortController().signal, emit: () => undefined },
    })
    residue.push(...report.residue)
  }
  return residue
}

function experiment(skills: string[], targetConfig = world.target_config, soakMs = 60_000): Experiment {
  const [first] = skills.map((skill) => experimentOf(skill, world))
  const entries = skills.flatMap((skill) => experimentOf(skill, world).skills)
  return { ...first!, skills: entries, target_config: targetConfig, duration_ms: soakMs }
}

const ALL = database.skills.map(({ name }) => name)

for (const skill of ALL) {
  test(
    `${skill}: a connection cut at any byte of a request or a reply leaves nothing`,
    { timeout: 20 * 60_000 },
    async (t) => {
      const cutter = await tcpCutter(world.server.port)
      const url = `postgres://postgres@127.0.0.1:${cutter.port}/postgres`
      const it = experiment([skill], { ...(world.target_config as object), connection_url: url }, 20)
      const picture = await world.picture()
      const random = seededRandom(`${seed}/cut/${skill}`)
      try {
        cutter.arm()
        assert.equal((await run(it)).outcome, 'completed')
        const bytes = { ...cutter.passed }
        const counts = { cuts: 0, handedOver: 0 }
        for (const direction of ['request', 'reply'] as const) {
          for (let n = 0; n < CUTS; n++) {
            const at = random.int(bytes[direction])
            cutter.arm(direction, at)
            const report = await run(it)
            counts.cuts += cutter.cut ? 1 : 0
            counts.handedOver += report.residue.length > 0 ? 1 : 0
            cutter.arm()
            assert.deepEqual(await recover(), [], `byte ${at} of the ${direction}s`)
            assert.deepEqual(await picture.residue(), [], `byte ${at} of the ${direction}s, seed ${seed}`)
          }
        }
        t.diagnostic(
          `${counts.cuts} cuts in ${bytes.request} + ${bytes.reply} bytes, ${counts.handedOver} left to recovery, residue 0`,
        )
      } finally {
        cutter.close()
      }
    },
  )
}

test('a server that is killed during the soak and comes back is put back', { timeout: 5 * 60_000 }, async () => {
  const picture = await world.picture()
  const report = await run(experiment(ALL), async () => {
    world.server.kill9()
    // Longer with CHAOS_DOWN_MS: what the run itself cannot wait for is left to recovery.
    setTimeout(() => void world.server.restart('immediate'), Number(process.env['CHAOS_DOWN_MS'] ?? 3_000))
    await Promise.resolve()
  })
  assert.equal(report.outcome, 'aborted')
  for (let tries = 0; tries < 20 && (await state.runs.list()).length > 0; tries++) {
    await recover().catch(() => new Promise((resolve) => setTimeout(resolve, 1_000)))
  }
  assert.deepEqual(await state.runs.list(), [])
  assert.deepEqual(await picture.residue(), [])
})

test('a right that is revoked after the fault leaves exactly the residue that is named; granted again, nothing', async () => {
  await world.server.sql(`create role breaker login; grant pg_monitor to breaker;
    grant select, insert, update, delete on parents, things to breaker; grant usage on sequence things_id_seq to breaker`)
  const picture = await world.picture()
  const config = { ...(world.target_config as object), connection_url: world.server.url('postgres', 'breaker') }
  const report = await run(experiment(['db.insert_load'], config), () =>
    world.server.sql('revoke delete on things from breaker'),
  )
  assert.equal(report.exit_code, 4)
  // The earlier batch waits for the later one: last first.
  const errors = report.residue.map((r) => `${r.resource}: ${r.error}`)
  assert.equal(errors.length, 2, errors.join())
  assert.ok(errors.every((error) => error.startsWith('public.things: ')))
  assert.match(errors.join(), /permission denied.*waits for step/is)
  const left = (await picture.residue()).filter((line) => line.startsWith('public.things: row'))
  assert.equal(left.length, 4, 'the rows of both batches, which the report names by their steps')
  await world.server.sql('grant delete on things to breaker')
  assert.deepEqual(await recover(), [])
  assert.deepEqual(await picture.residue(), [])
  await world.server.sql('drop owned by breaker; drop role breaker')
})

test('what somebody else has changed meanwhile is kept, reported, and no residue', async () => {
  await world.server.sql('create table before_things as select * from things')
  const report = await run(experiment(['db.update_load', 'db.config_change']), async () => {
    await world.server.sql(`update things set body = 'theirs', amount = 77, at = null`)
    await world.server.sql(`alter system set work_mem = '9MB'`)
    await world.server.sql('select pg_reload_conf()')
  })
  assert.deepEqual(report.residue, [])
  const kept = report.steps.filter((step) => (step.kept ?? 0) > 0).map((step) => step.resource)
  assert.ok(kept.includes('public.things') && kept.some((name) => name.includes('work_mem')), kept.join())
  const theirs = await world.server.sql(`select from things where body = 'theirs' and amount = 77 and at is null`)
  assert.equal(theirs.length, 12)
  assert.equal((await world.server.sql('show work_mem'))[0]?.['work_mem'], '9MB')
  await world.server.sql(
    `update things t set body = b.body, amount = b.amount, at = b.at from before_things b where b.id = t.id`,
  )
  await world.server.sql('drop table before_things')
  await world.server.sql('alter system reset work_mem')
  await world.server.sql('select pg_reload_conf()')
})

test('a table that somebody drops during the soak is nothing to put back any more', async () => {
  await world.server.sql('create table doomed as select * from things; alter table doomed add primary key (id)')
  const picture = await world.picture()
  const it = experiment(['db.insert_load', 'db.update_load'])
  for (const entry of it.skills) entry.params = { ...entry.params, tables: ['doomed'] }
  const report = await run(it, () => world.server.sql('drop table doomed'))
  assert.deepEqual(report.residue, [])
  assert.deepEqual(await state.runs.list(), [])
  const left = (await picture.residue()).filter((line) => !line.includes('doomed'))
  assert.deepEqual(left, [])
})

test('an undo that waits for a stranger’s lock is named as residue while it waits, and done when it may', async () => {
  const picture = await world.picture()
  const stranger = new pg.Client({ connectionString: world.server.url(), application_name: 'stranger' })
  await stranger.connect()
  try {
    const report = await run(experiment(['db.update_load']), () => stranger.query('begin; lock table things'))
    assert.equal(report.exit_code, 4)
    assert.deepEqual(
      report.residue.map((r) => r.resource),
      ['public.things'],
    )
    assert.deepEqual(
      (await recover(1_000)).map((r) => r.resource),
      ['public.things'],
    )
    await stranger.query('rollback')
    assert.deepEqual(await recover(), [])
    assert.deepEqual(await picture.residue(), [])
  } finally {
    await stranger.end()
  }
})
