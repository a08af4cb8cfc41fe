/** The commands as their users type them: output, exit codes, signals, and what must never show. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type pg from 'pg'
import type { Report } from '../../src/core/report.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { targets } from '../../src/targets/index.ts'
import { Chaos } from './chaos.ts'
import { connect, differences, readRows, SCHEMA, serverState } from './world.ts'

const BAD_CONFIG = fileURLToPath(new URL('../bad-config/', import.meta.url))

interface Expected {
  file: string
  exit: number
  line: number
  column: number
  contains: string[]
}

describe('the commands', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let watcher: pg.Client
  let chaos: Chaos

  before(async () => {
    server = await startPostgres()
    await server.sql(SCHEMA)
    await server.sql(`create role staging login password 'hunter2-canary' superuser`)
    await server.sql('create database second')
    await server.sql(
      'create table things (id serial primary key, label text); insert into things (label) select i::text from generate_series(1, 20) i',
      'second',
    )
    watcher = await connect(server.url())
  })
  after(async () => {
    await watcher.end()
    await server.stop()
  })
  beforeEach(() => void (chaos = new Chaos()))
  afterEach(() => chaos.remove())

  const secretUrl = (): string => server.url('postgres', 'staging').replace('staging@', 'staging:hunter2-canary@')
  const experiment = (more: object = {}): object => ({
    name: 'nightly',
    target: 'database',
    target_config: { connection_url: secretUrl() },
    skills: [
      { skill_name: 'db.insert_load', params: { tables: ['customers', 'plain'], rows_per_table: 200 } },
      { skill_name: 'db.update_load', params: { tables: ['"Order Lines"'], rows: 20 } },
      { skill_name: 'db.config_change', params: { changes: [{ param: 'work_mem', value: '5MB' }] } },
      { skill_name: 'db.table_lock', params: { tables: ['audit'] } },
    ],
    duration: '300ms',
    ...more,
  })
  const picture = async (): Promise<unknown[]> => [await readRows(watcher), await serverState(watcher)]

  test('list-skills prints the table, and as JSON the schema of every parameter', async () => {
    const { code, out } = await chaos.run(['list-skills', '--target', 'database'])
    assert.equal(code, 0)
    assert.match(out, /^SKILL {21}TARGET {7}DESCRIPTION\n-{70}\ndb\.insert_load {12}database {5}Bulk INSERT/)
    const json = JSON.parse((await chaos.run(['list-skills', '--json'])).out) as {
      name: string
      params: { properties: object }
    }[]
    assert.deepEqual(
      json.map((s) => s.name),
      targets.flatMap(({ skills }) => skills.map(({ name }) => name)),
    )
    assert.ok('rows_per_table' in json[0]!.params.properties)
    assert.equal((await chaos.run(['list-skills', '--target', 'moon'])).code, 2)
  })

  test('every bad configuration ends validate, run and daemon with 2 and its place, and opens no connection', async () => {
    let connections = 0
    const listener = createServer((socket) => {
      connections += 1
      socket.destroy()
    })
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const expected = JSON.parse(readFileSync(join(BAD_CONFIG, 'expected.json'), 'utf8')) as Expected[]
    assert.ok(expected.length >= 20)
    // Whatever libpq-style default a driver might fall back to leads to the listener too.
    const { port } = listener.address() as { port: number }
    const env = { PGHOST: '127.0.0.1', PGPORT: String(port) }
    for (const [index, { file, exit, line, column, contains }] of expected.entries()) {
      const command = ['validate', 'run', 'validate'][index % 3]!
      const { code, out, err } = await chaos.run([command, join(BAD_CONFIG, file)], env)
      assert.equal(code, exit, `${file}: ${out}${err}`)
      if (line > 0) assert.ok(err.includes(`${file}:${line}:${column}`), `${file}: ${err}`)
      for (const part of contains) assert.ok(err.includes(part), `${file} says ${part}: ${err}`)
    }
    listener.close()
    assert.equal(connections, 0)
  })

  test('a table, setting or filter that is not on the target ends with 2, all at once, and nothing is changed', async () => {
    const fresh = await picture()
    const file = chaos.config({
      experiments: [
        experiment({
          skills: [
            { skill_name: 'db.insert_load', params: { tables: ['custmers'] } },
            { skill_name: 'db.config_change', params: { changes: [{ param: 'wrok_mem', value: '5MB' }] } },
          ],
        }),
      ],
    })
    const { code, out, err } = await chaos.run(['run', file])
    assert.equal(code, 2, out + err)
    assert.match(out + err, /custmers.*customers/s)
    assert.match(out + err, /wrok_mem.*work_mem/s)
    assert.deepEqual(await picture(), fresh)
  })

  test('--dry-run prints what would run, without customer values, and changes nothing, not even a state folder', async () => {
    const fresh = await picture()
    const { code, out, err } = await chaos.run(['run', chaos.config({ experiments: [experiment()] }), '--dry-run'])
    assert.equal(code, 0, err)
    assert.match(out, /1\. db\.insert_load insert 200 rows into public\.(customers|plain)/)
    assert.match(out, /db\.table_lock hold ACCESS EXCLUSIVE on public\.audit/)
    assert.doesNotMatch(out, /cust 1|hunter2/)
    assert.deepEqual(await picture(), fresh)
    assert.throws(() => statSync(chaos.state), 'no state folder is made')
  })

  test('a run ends with 0, its report last in the NDJSON, and the secret nowhere but in its own file', async () => {
    const fresh = await picture()
    const run = chaos.start(['run', chaos.config({ experiments: [experiment()] }), '--json', '--seed', 'seven'])
    await run.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    const journal = readdirSync(join(chaos.state, 'journal')).filter((name) => name.endsWith('.jsonl'))
    assert.equal(journal.length, 1)
    const bytes = readFileSync(join(chaos.state, 'journal', journal[0]!), 'utf8')
    assert.doesNotMatch(bytes, /hunter2/)
    assert.equal(
      statSync(join(chaos.state, 'secrets', readdirSync(join(chaos.state, 'secrets'))[0]!)).mode & 0o777,
      0o600,
    )
    const { pid } = chaos.holder()!.workers[0]!
    assert.doesNotMatch(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /hunter2/)
    const { code, out, err } = await run.exit
    assert.equal(code, 0, out + err)
    const last = JSON.parse(out.trim().split('\n').at(-1)!) as Report
    assert.equal(last.outcome, 'completed')
    assert.equal(last.seed, 'seven')
    assert.deepEqual(last.residue, [])
    assert.doesNotMatch(out + err, /hunter2/)
    assert.doesNotMatch(readFileSync(join(chaos.state, 'history', `${last.run}.json`), 'utf8'), /hunter2/)
    assert.deepEqual([readdirSync(join(chaos.state, 'journal')), readdirSync(join(chaos.state, 'secrets'))], [[], []])
    assert.deepEqual(await picture(), fresh)
    assert.equal((await chaos.run(['report', '--last', '--json'])).code, 0)
    assert.match((await chaos.run(['report', '--list'])).out, /completed +0 +nightly/)
    assert.equal((await chaos.run(['status'])).code, 1)
    assert.equal((await chaos.run(['recover'])).code, 0)
  })

  test('Ctrl-C rolls back and exits 130; a second one explains that the undo is still running', async () => {
    const fresh = await picture()
    const run = chaos.start(['run', chaos.config({ experiments: [experiment({ duration: '60s' })] }), '--json'])
    await run.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    run.child.kill('SIGINT')
    run.child.kill('SIGINT')
    await new Promise((resolve) => setTimeout(resolve, 20))
    run.child.kill('SIGINT')
    const { code, out, err } = await run.exit
    assert.equal(code, 130, out + err)
    assert.match(err, /undo is still running/)
    assert.deepEqual(await picture(), fresh)
  })

  test('SIGTERM ends a daemon in the middle of a soak with everything undone and exit code 0', async () => {
    const fresh = await picture()
    const file = chaos.config({
      experiments: [{ experiment: experiment({ duration: '60s' }), schedule: '* * * * * *' }],
    })
    const daemon = chaos.start(['daemon', file, '--json'])
    await daemon.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    assert.equal((await chaos.run(['status'])).code, 0)
    const second = await chaos.run(['daemon', file])
    assert.equal(second.code, 75)
    assert.match(second.err, new RegExp(`chaos daemon \\(pid ${daemon.child.pid}`))
    daemon.child.kill('SIGTERM')
    const { code, out, err } = await daemon.exit
    assert.equal(code, 0, out + err)
    assert.match(out, /"type":"schedule.skipped".*its previous run is not over/)
    assert.deepEqual(await picture(), fresh)
  })

  test('several experiments of a file run in order on their own databases, --only picks one, and the worst exit code wins', async () => {
    const other = {
      name: 'other',
      target_config: { connection_url: server.url('second') },
      skills: [{ skill_name: 'db.insert_load', params: { rows_per_table: 50 } }],
    }
    const refused = {
      name: 'refused',
      target_config: { connection_url: server.url('second') },
      protected: ['second'],
      skills: other.skills,
    }
    const file = chaos.config({ experiments: [experiment(refused), experiment(), experiment(other)] })
    const { code, out, err } = await chaos.run(['run', file, '--json'])
    assert.equal(code, 3, out + err)
    const last = JSON.parse(out.trim().split('\n').at(-1)!) as { reports: Report[] }
    assert.deepEqual(
      last.reports.map((r) => [r.experiment, r.outcome]),
      [
        ['refused', 'refused'],
        ['nightly', 'completed'],
        ['other', 'completed'],
      ],
    )
    assert.equal((await chaos.run(['run', file, '--only', 'other'])).code, 0)
    assert.equal((await chaos.run(['run', file, '--only', 'nobody'])).code, 2)
  })

  test('count, parallel, spread, filters and limits do what they say', async () => {
    const fresh = await picture()
    const insert = (more: object): object => ({
      skill_name: 'db.insert_load',
      params: { rows_per_table: 60, batch_rows: 20 },
      ...more,
    })
    const plan = async (more: object): Promise<{ code: number | string; text: string; resources: string[] }> => {
      const { code, out, err } = await chaos.run([
        'run',
        chaos.config({ experiments: [experiment(more)] }),
        '--dry-run',
        '--json',
      ])
      const steps = code === 0 ? (JSON.parse(out) as { steps: { resource: string }[] }).steps : []
      return { code, text: out + err, resources: [...new Set(steps.map((s) => s.resource))].sort() }
    }
    const filtered = await plan({
      skills: [insert({})],
      resource_filters: ['pl.*', 'public\\.audit'],
      limits: { percent: 100 },
    })
    assert.deepEqual(filtered.resources, ['public.audit', 'public.plain'])
    const half = await plan({ skills: [insert({})] })
    assert.equal(half.resources.length, 2, '50 percent of five tables')
    const rows = await plan({ skills: [insert({})], limits: { rows: 10 } })
    assert.equal(rows.code, 3)
    assert.match(rows.text, /limits\.rows/)
    const none = await plan({ skills: [insert({})], resource_filters: ['nothing_like_it'] })
    assert.equal(none.code, 2)
    const file = chaos.config({
      experiments: [
        experiment({
          skills: [insert({ count: 2 }), { skill_name: 'db.update_load', params: { rows: 30 }, spread: true }],
          parallel: true,
          duration: '1s',
          limits: { percent: 100 },
        }),
      ],
    })
    const { code, out, err } = await chaos.run(['run', file, '--json'])
    assert.equal(code, 0, out + err)
    const report = JSON.parse(out.trim().split('\n').at(-1)!) as Report
    assert.ok(report.steps.every((s) => s.state === 'reverted'))
    assert.deepEqual(await picture(), fresh)
  })

  test('a target that is away ends with 1, a broken state folder with 5, and neither touches anything', async () => {
    const away = chaos.config({
      experiments: [experiment({ target_config: { connection_url: 'postgres://postgres@127.0.0.1:1/postgres' } })],
    })
    const gone = await chaos.run(['run', away])
    assert.equal(gone.code, 1, gone.out + gone.err)
    assert.match(gone.out, /cannot connect/)
    const blocked = await chaos.run(['run', away, '--state-dir', '/proc/nowhere'])
    assert.equal(blocked.code, 5, blocked.out + blocked.err)
    assert.match(blocked.err, /--state-dir/)
  })

  test('a missing privilege is named as the GRANT line that would give it', async () => {
    await server.sql('create role poor login; grant select on all tables in schema public to poor')
    const url = server.url('postgres', 'poor')
    const file = chaos.config({
      experiments: [
        experiment({
          target_config: { connection_url: url },
          skills: [{ skill_name: 'db.insert_load' }],
          limits: { percent: 100 },
        }),
      ],
    })
    const { code, out, err } = await chaos.run(['run', file, '--dry-run'])
    assert.equal(code, 0, err)
    assert.match(out, /GRANT .*INSERT.* ON .*public.* TO "?poor"?;/)
  })

  test('the target dies in the middle of a soak and comes back: the run undoes everything itself', async () => {
    const rows = await readRows(watcher)
    await watcher.end()
    const run = chaos.start([
      'run',
      chaos.config({
        experiments: [
          experiment({ duration: '1s', skills: [{ skill_name: 'db.insert_load', params: { tables: ['plain'] } }] }),
        ],
      }),
      '--json',
    ])
    await run.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    server.kill9()
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    await server.restart()
    const { code, out, err } = await run.exit
    watcher = await connect(server.url())
    assert.equal(code, 0, out + err)
    assert.deepEqual(differences(rows, await readRows(watcher)), [])
  })

  test('the target stays away: exit 4 with the journal intact, status says so, new runs are refused, and recover finishes', async () => {
    const rows = await readRows(watcher)
    await watcher.end()
    const file = chaos.config({
      experiments: [
        experiment({ duration: '1s', skills: [{ skill_name: 'db.insert_load', params: { tables: ['plain'] } }] }),
      ],
    })
    const run = chaos.start(['run', file, '--json'])
    await run.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    server.kill9()
    const { code, out, err } = await run.exit
    assert.equal(code, 4, out + err)
    assert.equal((await chaos.run(['status'])).code, 4)
    assert.match((await chaos.run(['recover', '--dry-run'])).out, /insert 1000 rows into public\.plain/)
    await server.restart()
    const recovered = await chaos.run(['recover'])
    watcher = await connect(server.url())
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    assert.deepEqual(differences(rows, await readRows(watcher)), [])
    assert.equal((await chaos.run(['status'])).code, 1)
  })
})
