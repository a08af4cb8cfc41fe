/** `chaos selftest` as a user runs it: what it shows, what it ends with, and that it takes its own things away. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { Chaos } from './chaos.ts'

let server: Postgres
let chaos: Chaos

before(async () => {
  server = await startPostgres()
  chaos = new Chaos()
})
after(async () => {
  chaos.remove()
  await server.stop()
})

test('a quick selftest kills workers of every skill, finds nothing left, and leaves the database as it was', async (t) => {
  const fresh = await snapshot(server.url())
  const { code, out, err } = await chaos.run(['selftest', '--quick', '--json', '--url', server.url()])
  assert.equal(code, 0, `${out}\n${err}`)
  const { skills } = JSON.parse(out) as {
    skills: { skill: string; kill_points: number; killed: number; residue: string[] }[]
  }
  assert.deepEqual(
    skills.map((s) => s.skill),
    ['db.insert_load', 'db.update_load', 'db.config_change', 'db.table_lock'],
  )
  for (const { skill, kill_points, killed, residue } of skills) {
    assert.ok(kill_points === 3 && killed >= 1, `${skill}: ${killed} of ${kill_points}`)
    assert.deepEqual(residue, [], skill)
  }
  assert.deepEqual(diff(fresh, await snapshot(server.url())), [])
  t.diagnostic(
    skills.map((s) => `${s.skill}: ${s.killed} of ${s.kill_points} kills, residue ${s.residue.length}`).join('; '),
  )
})

test('what is not as before is named, and ends it with 4', async () => {
  const running = chaos.start(['selftest', '--quick', '--url', server.url()])
  let schema: string | undefined
  while (schema === undefined) {
    const found = await server.sql(`select nspname from pg_namespace where nspname like 'chaos_selftest_%'
      and exists (select from pg_stat_activity where application_name like 'chaos-%')`)
    schema = found[0]?.['nspname'] as string | undefined
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  // Somebody meddles with the sandbox itself: it cannot tell that from residue, and must not be silent.
  await server.sql(`update ${schema}.orders set item = 'meddled' where id = 1`)
  const { code, out, err } = await running.exit
  assert.equal(code, 4, `${out}\n${err}`)
  assert.match(out, /meddled/)
  assert.match(err, /chaos recover --state-dir/)
  await server.sql(`drop schema ${schema} cascade`)
})

test('a database whose name says production is refused before anything is made in it', async () => {
  await server.sql('create database shop_production')
  const { code, err } = await chaos.run(['selftest', '--url', server.url('shop_production')])
  assert.equal(code, 3, err)
  const made = await server.sql(`select from pg_namespace where nspname like 'chaos%'`, 'shop_production')
  assert.equal(made.length, 0)
})

test('a URL that is none, and no database at all, are said with what to do instead', async () => {
  const wrong = await chaos.run(['selftest', '--url', 'mysql://here/db'])
  assert.equal(wrong.code, 2)
  assert.match(wrong.err, /postgres:\/\/user:password@host/)
  if (process.getuid?.() !== 0) return
  const root = await chaos.run(['selftest'])
  assert.equal(root.code, 1)
  assert.match(root.err, /does not run as root.*--url/s)
})
