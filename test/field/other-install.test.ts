/** A journal of another installation in our state folder: its run, which is going on there, keeps its sessions, rows and leases. */
import assert from 'node:assert/strict'
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Chaos } from '../e2e/chaos.ts'
import { reportOf } from '../e2e/shops.ts'
import { FakeApplication } from '../fakes/application.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

describe('F11: a journal that was copied from another installation', () => {
  let server: Postgres
  const app = new FakeApplication()
  const [theirs, ours] = [new Chaos(), new Chaos()]
  before(async () => {
    server = await startPostgres()
    await server.sql('create table things (id serial primary key, body text not null)')
    await app.start('one')
    // So that this folder has an id of its own.
    const once = { name: 'once', target: 'application', target_config: app.config, duration: '1s' }
    const config = ours.config({
      experiments: [{ ...once, skills: [{ skill_name: 'app.error', params: { error_code: 503 } }] }],
    })
    await ours.run(['run', config])
    assert.ok(existsSync(join(ours.state, 'install')))
  })
  after(async () => {
    theirs.remove()
    ours.remove()
    await app.stop()
    await server.stop()
  })

  const copy = (): string => {
    const [file = ''] = readdirSync(join(theirs.state, 'journal'))
    mkdirSync(join(ours.state, 'secrets'), { recursive: true, mode: 0o700 })
    copyFileSync(join(theirs.state, 'journal', file), join(ours.state, 'journal', file))
    cpSync(join(theirs.state, 'secrets'), join(ours.state, 'secrets'), { recursive: true })
    return file.replace('.jsonl', '')
  }

  const cases = [
    { skill: 'db.table_lock', params: { tables: ['things'] }, what: 'session' },
    { skill: 'db.insert_load', params: { tables: ['things'], rows_per_table: 20 }, what: 'session' },
    { skill: 'app.error', params: { error_code: 503, components: ['pay'] }, what: 'lease' },
  ]
  for (const { skill, params, what } of cases) {
    test(`${skill}: recover leaves its run alone while it lives, says whose it is, and undoes it once it is over`, async (t) => {
      const isApp = skill.startsWith('app.')
      const place = isApp ? app.config : { connection_url: server.url() }
      const config = theirs.config({
        experiments: [
          {
            ...{ name: 'theirs', target: isApp ? 'application' : 'database', target_config: place },
            ...{ skills: [{ skill_name: skill, params }], duration: '10m' },
          },
        ],
      })
      const running = theirs.start(['run', config, '--json'])
      // Where an assertion fails: a run of ten minutes would keep this file alive.
      t.after(() => running.child.kill('SIGTERM'))
      await running.until((event) => event.type === 'run.phase' && event.phase === 'soak')
      const install = readFileSync(join(theirs.state, 'install'), 'utf8').trim()
      const run = copy()
      const sessions = `select pid from pg_stat_activity where starts_with(application_name, 'chaos-${install}-') order by 1`
      const pictured = async (): Promise<unknown> => ({
        sessions: await server.sql(sessions),
        // A lock keeps whoever looks.
        rows: skill === 'db.table_lock' ? undefined : await server.sql('select count(*) from things'),
        app: await app.snapshot(),
      })
      const picture = await pictured()
      const refused = await ours.run(['recover'])
      assert.equal(refused.code, 4, refused.out + refused.err)
      assert.match(
        refused.out + refused.err,
        new RegExp(`of the installation ${install}, and this is .* alive: ${what} `),
      )
      assert.deepEqual(await pictured(), picture)
      running.child.kill('SIGTERM')
      const report = reportOf(await running.exit)
      assert.deepEqual(
        [report.residue, report.steps.map((step) => [step.state, step.kept ?? 0])],
        [[], [['reverted', 0]]],
      )
      const recovered = await ours.run(['recover', '--run', run])
      assert.equal(recovered.code, 0, recovered.out + recovered.err)
      assert.deepEqual(await server.sql('select count(*)::int as n from things'), [{ n: 0 }])
    })
  }
})
