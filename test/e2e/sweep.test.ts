/** `chaos sweep` against sessions made by hand: what it names, what it ends, and what it must never end. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import pg from 'pg'
import { prove } from '../../src/targets/database/postgres/own-session.ts'
import type { Queries } from '../../src/targets/database/client.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { Chaos, signal } from './chaos.ts'

let server: Postgres
let chaos: Chaos
let config: string
let install = ''
const open: pg.Client[] = []

interface Found {
  install: string
  run: string
  age_ms: number
  live: boolean
  removed: boolean
}

before(async () => {
  server = await startPostgres()
  await server.sql('create table things (id serial primary key, body text); insert into things values (1)')
  chaos = new Chaos()
  config = chaos.config({
    experiments: [
      {
        ...{ name: 'sweep me', target: 'database', target_config: { connection_url: server.url() }, duration: '60s' },
        skills: [{ skill_name: 'db.table_lock', params: { tables: ['things'] } }],
      },
    ],
  })
})
beforeEach(async () => {
  for (const client of open.splice(0)) await client.end().catch(() => undefined)
})
after(async () => {
  for (const client of open) await client.end().catch(() => undefined)
  chaos.remove()
  await server.stop()
})

/** As one of ours would be; not `ours`: a stranger's of the same role, with the name alone. */
async function session(name: string, ours = true): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.url(), application_name: name })
  client.on('error', () => undefined)
  await client.connect()
  open.push(client)
  const query = async (sql: string, params: readonly unknown[] = []): Promise<unknown[]> =>
    (await client.query<Record<string, string>>(sql, [...params])).rows
  if (ours) await prove({ query: query as Queries['query'] }, name)
  return client
}

async function names(): Promise<string[]> {
  const rows = await server.sql(
    `select application_name as name from pg_stat_activity where application_name like 'chaos-%' order by 1`,
  )
  return rows.map((row) => String(row['name']))
}

async function sweep(...options: string[]): Promise<{ code: number | string; found: Found[]; err: string }> {
  const { code, out, err } = await chaos.run(['sweep', config, '--json', ...options])
  return { code, err, found: out === '' ? [] : (JSON.parse(out) as { found: Found[] }).found }
}

/** The install id of the state folder, after something has used it. */
async function own(): Promise<string> {
  const running = chaos.start(['run', config, '--json'])
  await running.until((event) => event.type === 'step.applied')
  install = readFileSync(join(chaos.state, 'install'), 'utf8').trim()
  running.child.kill('SIGTERM')
  await running.exit
  return install
}

test('what carries a mark is listed with its install, run and age, and listing ends nothing', async () => {
  const mine = await own()
  await session(`chaos-${mine}-oldrun-1`)
  await session('chaos-others-theirrun-2')
  await session('chaos-dashboard')
  const { code, found } = await sweep()
  assert.equal(code, 4, 'something of ours is left')
  assert.deepEqual(
    found
      .map(({ install, run, live, removed }) => ({ install, run, live, removed }))
      .sort((a, b) => (a.run < b.run ? -1 : 1)),
    [
      { install: mine, run: 'oldrun', live: false, removed: false },
      { install: 'others', run: 'theirrun', live: false, removed: false },
    ],
  )
  assert.ok(found.every(({ age_ms }) => age_ms >= 0 && age_ms < 600_000))
  assert.deepEqual(await names(), ['chaos-dashboard', `chaos-${mine}-oldrun-1`, 'chaos-others-theirrun-2'].sort())
})

test('--remove ends what this install has left, and leaves strangers and what is too young', async () => {
  const mine = await own()
  const namesake = await session(`chaos-${mine}-oldrun-1`, false)
  const left = await session(`chaos-${mine}-oldrun-1`)
  await left.query('begin; lock table things')
  await session('chaos-others-theirrun-2')
  const young = await sweep('--remove')
  assert.equal(young.code, 4, 'younger than a minute')
  assert.equal((await names()).length, 3)
  const { code, found } = await sweep('--remove', '--older-than', '0s')
  assert.equal(code, 0)
  assert.deepEqual(
    found.filter((one) => one.removed).map((one) => one.run),
    ['oldrun'],
  )
  assert.deepEqual(await names(), [`chaos-${mine}-oldrun-1`, 'chaos-others-theirrun-2'].sort())
  const again = await sweep('--remove', '--older-than', '0s', '--install', 'others')
  assert.equal(again.code, 0)
  assert.deepEqual(
    await names(),
    [`chaos-${mine}-oldrun-1`],
    'a stranger of our role that has our name and nothing else',
  )
  assert.equal((await namesake.query('select 1')).rowCount, 1)
})

test('a run that is going on is never ended, and neither is what a recovery has to undo first', async () => {
  const running = chaos.start(['run', config, '--json'])
  await running.until((event) => event.type === 'step.applied')
  const before = await names()
  assert.ok(before.length >= 2)
  const during = await sweep('--remove', '--older-than', '0s')
  assert.equal(during.code, 0)
  assert.ok(during.found.length > 0 && during.found.every((one) => one.live && !one.removed))
  assert.deepEqual(await names(), before)
  // Its processes die together: the journal stays, and a session of the run made by hand with it.
  const workers = chaos.holder()?.workers ?? []
  const run = workers[0]?.run ?? ''
  running.child.kill('SIGKILL')
  for (const worker of workers) signal(worker.pid, 'SIGKILL')
  await running.exit
  await session(`chaos-${install}-${run}-7`)
  const { found } = await sweep('--remove', '--older-than', '0s')
  assert.ok(found.some((one) => one.run === run && one.live && !one.removed))
  const { code, out } = await chaos.run(['recover'])
  assert.equal(code, 0, out)
  assert.deepEqual(await names(), [])
})

test('a wrong install id, a wrong age, and a folder that was never used are said', async () => {
  const bad = await sweep('--remove', '--install', 'NOT-one')
  assert.equal(bad.code, 2)
  assert.match(bad.err, /no install id/)
  assert.match((await sweep('--older-than', 'soon')).err, /must be a duration/)
  const unused = await chaos.run(['sweep', config, '--remove', '--state-dir', join(chaos.dir, 'never')])
  assert.equal(unused.code, 2)
  assert.match(unused.err, /--install/)
})
