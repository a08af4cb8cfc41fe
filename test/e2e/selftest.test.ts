/** `chaos selftest` as a user runs it: what it shows, what it ends with, and that it takes its own things away. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { database } from '../../src/targets/database/index.ts'
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
    database.skills.map(({ name }) => name),
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

test('a URL that is none is said with what to write instead', async () => {
  const wrong = await chaos.run(['selftest', '--url', 'mysql://here/db'])
  assert.equal(wrong.code, 2)
  assert.match(wrong.err, /postgres:\/\/user:password@host/)
})

describe('S14: without --url', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'selftest-'))
    // As that for temporary files: the server is nobody's where we are root.
    chmodSync(folder, 0o1777)
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))
  const own = (): string | undefined => readdirSync(folder).find((name) => name.startsWith('chaos-selftest-pg-'))
  const has = (file: string): boolean => existsSync(join(folder, own() ?? 'none', file))

  test('it starts a server of its own, as root too, and takes it away again', async () => {
    const { code, out, err } = await chaos.run(['selftest', '--quick'], { TMPDIR: folder })
    assert.equal(code, 0, `${out}\n${err}`)
    assert.match(err, /a PostgreSQL of its own/)
    assert.match(out, /db\.table_lock +3 +[1-3] +0/)
    await allGone(folder)
    assert.deepEqual(readdirSync(folder), [])
  })

  const MOMENTS: Readonly<Record<string, (said: string) => boolean>> = {
    'while it fills its folder': () => has('data'),
    'while the server starts': () => has('data/postmaster.pid'),
    'while it breaks the server': (said) => said.includes('a PostgreSQL of its own'),
  }
  for (const [moment, come] of Object.entries(MOMENTS)) {
    for (const name of moment.includes('breaks')
      ? (['SIGKILL', 'SIGTERM', 'SIGINT'] as const)
      : (['SIGKILL'] as const)) {
      test(`no server is left when it gets ${name} ${moment}`, async () => {
        const { child, exit } = chaos.start(['selftest'], { TMPDIR: folder })
        let said = ''
        child.stderr?.on('data', (text: string) => (said += text))
        await until(() => come(said) || child.exitCode !== null, `the moment: ${said}`)
        assert.equal(child.exitCode, null, said)
        child.kill(name)
        await exit
        await allGone(folder)
        await until(() => own() === undefined, 'its data to be removed')
      })
    }
  }
})

/** Until no process has the folder in its command line: neither a server nor what ends one. */
async function allGone(folder: string): Promise<void> {
  await until(
    () => !spawnSync('ps', ['-e', '-ww', '-o', 'args'], { encoding: 'utf8' }).stdout.includes(folder),
    'the server to end',
  )
}

async function until(come: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; !come();) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
