/** From a URL to a first run: what `init` writes loads, runs and is undone, and what `discover` shows is what is there. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { parse } from 'yaml'
import type { SkillSurvey } from '../../src/core/survey.ts'
import type { PlanView } from '../../src/core/plan-view.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { NASTY_ROWS, NASTY_SCHEMA, NASTY_SECRETS } from '../targets/database/nasty.ts'
import { Chaos } from './chaos.ts'
import type { Exit } from './chaos.ts'

/** With everything that means something in a URL, in SQL, in a shell or in YAML. */
const PASSWORD = `p@s:s/w#r%d?&'"$ canary`

interface Written {
  settings: { timezone: string; stop_deadline: string; limits: object; allow: string[] }
  experiments: {
    experiment: { name: string; skills: { skill_name: string; params: { tables?: string[] } }[]; duration: string }
    schedule: string
    enabled?: boolean
  }[]
}

interface Discovered {
  targets: {
    endpoint: string
    experiments: string[]
    resources: { id: string }[]
    skills: SkillSurvey[]
    filters: { experiment: string; filter: string; matches: string[] }[]
  }[]
}

describe('discover and init', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let chaos: Chaos
  let file: string

  before(async () => {
    server = await startPostgres()
    await server.sql(NASTY_SCHEMA)
    await server.sql(NASTY_ROWS)
    await server.sql(`create role staging login superuser password '${PASSWORD.replaceAll("'", "''")}'`)
    await server.sql('create role poor login; grant usage on schema nasty to poor')
    await server.sql('grant select on all tables in schema nasty to poor')
    for (const name of ['odd', 'empty', '"shop-prod"']) await server.sql(`create database ${name}`)
  })
  after(() => server.stop())
  beforeEach(() => {
    chaos = new Chaos()
    file = join(chaos.dir, 'chaos.yaml')
  })
  afterEach(() => chaos.remove())

  const secretUrl = (): string =>
    server.url('postgres', 'staging').replace('staging@', `staging:${encodeURIComponent(PASSWORD)}@`)
  const init = (...args: string[]): Promise<Exit> => chaos.run(['init', ...args, '--output', file])
  const readWritten = (): Written => parse(readFileSync(file, 'utf8')) as Written
  const config = (url: string, ...more: object[]): string =>
    chaos.config({
      experiments: (more.length === 0 ? [{}] : more).map((one, i) => ({
        name: `e${i}`,
        target: 'database',
        target_config: { connection_url: url },
        skills: [{ skill_name: 'db.insert_load' }],
        ...one,
      })),
    })
  const discovered = async (...args: string[]): Promise<Discovered> => {
    const { code, out, err } = await chaos.run(['discover', ...args, '--json'])
    assert.equal(code, 0, out + err)
    return JSON.parse(out) as Discovered
  }
  const assertSecret = ({ out, err }: Exit, ...more: string[]): void => {
    for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), 'canary', ...NASTY_SECRETS]) {
      for (const text of [out, err, ...more]) assert.ok(!text.includes(secret), `${secret} shows: ${text}`)
    }
  }

  test('what init writes on a schema of all difficulties is valid, plans, runs and is undone without a difference', async () => {
    const fresh = await snapshot(server.url())
    const made = await init(secretUrl())
    assert.equal(made.code, 0, made.out + made.err)
    assert.deepEqual(diff(fresh, await snapshot(server.url())), [], 'looking changes nothing')
    const text = readFileSync(file, 'utf8')
    assertSecret(made, text)
    assert.match(made.out, /export DATABASE_URL='?postgres:\/\/staging:\*\*\*@/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(chaos.dir), ['chaos.yaml'], 'no other file is left, and no state folder')

    const { settings, experiments } = readWritten()
    assert.equal(settings.timezone, 'UTC')
    assert.deepEqual(
      experiments.map((e) => [e.experiment.skills[0]?.skill_name, e.enabled ?? true]),
      [
        ['db.insert_load', true],
        ['db.update_load', true],
        ['db.config_change', true],
        ['db.table_lock', false],
      ],
    )
    assert.equal(new Set(experiments.map((e) => e.schedule)).size, 4)

    const env = { DATABASE_URL: secretUrl() }
    const valid = await chaos.run(['validate', file], env)
    assert.equal(valid.code, 0, valid.err)
    const plan = await chaos.run(['run', file, '--dry-run', '--json'], env)
    assert.equal(plan.code, 0, plan.err)
    const plans = plan.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PlanView)
    assert.ok(
      plans.every(({ steps, skipped }) => steps.length > 0 && skipped.length === 0),
      plan.out,
    )

    // As it stands, but for the time it takes; the lock as well.
    writeFileSync(
      file,
      text.replaceAll(/duration: \d+[ms]$/gm, 'duration: 300ms').replace('enabled: false', 'enabled: true'),
    )
    const run = await chaos.run(['run', file], env)
    assert.equal(run.code, 0, run.out + run.err)
    assert.equal(run.out.match(/completed: /g)?.length, 4, run.out)
    assertSecret(run)
    assert.deepEqual(diff(fresh, await snapshot(server.url())), [])
  })

  test('names that mean something to YAML, SQL or us are written so that they name the same table', async () => {
    // Two, so that both are filled; the first is also changed and locked.
    const names = ['- it\'s "so", ${HOME}: a.b # c\n*ü☃', 'yes']
    for (const name of names) {
      const id = `public."${name.replaceAll('"', '""')}"`
      await server.sql(`create table ${id} (id serial primary key, body text)`, 'odd')
      await server.sql(`insert into ${id} (body) values ('x'), ('y')`, 'odd')
    }
    const made = await init(server.url('odd'))
    assert.equal(made.code, 0, made.out + made.err)
    const plan = await chaos.run(['run', file, '--dry-run', '--json'], { DATABASE_URL: server.url('odd') })
    assert.equal(plan.code, 0, plan.err)
    const [inserts, updates] = plan.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PlanView)
    const ids = inserts?.resources.map((r) => r.id).sort()
    assert.equal(ids?.length, 2)
    assert.deepEqual(inserts?.steps.map((step) => step.resource).sort(), ids)
    assert.ok(ids.includes(updates?.steps[0]?.resource ?? ''))
  })

  test('a table whose parents are empty is passed over for one that can be filled by itself', async () => {
    await server.sql('drop schema public cascade; create schema public', 'odd')
    await server.sql(
      `create table z_parent (id serial primary key, area text); create table a_child (id serial primary key, parent integer not null references z_parent);
       create table m_alone (id serial primary key, body text)`,
      'odd',
    )
    const made = await init(server.url('odd'))
    assert.equal(made.code, 0, made.out + made.err)
    const [inserts] = readWritten().experiments
    assert.deepEqual(inserts?.experiment.skills[0]?.params.tables, ['public.m_alone', 'public.z_parent'])
    assert.match(made.out, /db\.update_load is left out\. .*it has no rows left to change/)
    assert.match(readFileSync(file, 'utf8'), /^# db\.update_load is left out\./m)
  })

  test('without a URL it writes a template that validates once DATABASE_URL is set, and connects to nothing', async () => {
    const made = await init('--schedule', '30 50 23 * * mon-fri')
    assert.equal(made.code, 0, made.out + made.err)
    assert.equal((await chaos.run(['validate', file], { DATABASE_URL: undefined })).code, 2)
    const valid = await chaos.run(['validate', file], { DATABASE_URL: 'postgres://127.0.0.1:1/shop' })
    assert.equal(valid.code, 0, valid.err)
    // Twenty minutes later it would be another weekday.
    assert.match(valid.out, /changed-rows .* 30 50 23 \* \* mon-fri UTC/)
    assert.deepEqual(
      readWritten().experiments.map((e) => e.enabled ?? true),
      [true, true, false, false],
      'what needs a table of theirs or the right to change settings is off',
    )
  })

  test('a file that is there is kept without --force, whoever made it and whatever it is', async () => {
    writeFileSync(file, 'precious')
    const refused = await init()
    assert.equal(refused.code, 2)
    assert.match(refused.err, /chaos\.yaml is there already.*--force/)
    assert.equal(readFileSync(file, 'utf8'), 'precious')
    chmodSync(file, 0o644)
    assert.equal((await init('--force')).code, 0)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const dangling = join(chaos.dir, 'link.yaml')
    symlinkSync(join(chaos.dir, 'elsewhere.yaml'), dangling)
    assert.equal((await chaos.run(['init', '--output', dangling])).code, 2)
    assert.ok(!existsSync(join(chaos.dir, 'elsewhere.yaml')), 'a link is not followed')
    assert.equal((await chaos.run(['init', '--output', join(chaos.dir, 'no', 'folder.yaml')])).code, 2)
  })

  test('of many that write the same file at once exactly one succeeds', async () => {
    const exits = await Promise.all(Array.from({ length: 4 }, () => init()))
    assert.deepEqual(exits.map(({ code }) => code).sort(), [0, 2, 2, 2])
    assert.deepEqual(readdirSync(chaos.dir), ['chaos.yaml'])
  })

  test('--stdout prints the file alone, and writes none', async () => {
    const { code, out, err } = await init(secretUrl(), '--stdout')
    assert.equal(code, 0, err)
    assert.equal((parse(out) as Written).experiments.length, 4)
    assert.match(err, /^warning: the password of that URL stands in the list of processes.*\nnext:\n/)
    assert.deepEqual(readdirSync(chaos.dir), [])
  })

  test('a URL that leads nowhere, to nobody, or is none ends with 1 or 2, writes nothing and never shows its password', async () => {
    const at = server.url().replace(/^.*@/, '')
    for (const [url, code, says] of [
      [`postgres://u:canary@127.0.0.1:1/db`, 1, /cannot connect/],
      [`postgres://nobody:canary@${at}`, 1, /nobody/],
      [secretUrl().replace(/\w+$/, 'no_such_database'), 1, /no_such_database/],
      ['mysql://u:canary@h/db', 2, /\(mysql:…\): write postgres:\/\/user:password@host/],
      ['postgres://u:can/canary@h/db', 2, /special characters/],
      ['postgres://u:12/canary@h/db', 2, /special characters/],
      ['postgres://u:can#canary@h/db', 2, /special characters/],
      ['postgres://u:%zzcanary@h/db', 2, /special characters/],
      ['canary', 2, /is not understood: write/],
      ['${NOT_SET_ANYWHERE}', 2, /NOT_SET_ANYWHERE is not set/],
    ] as const) {
      const exit = await init(url)
      assert.equal(exit.code, code, `${url}: ${exit.out}${exit.err}`)
      assert.match(exit.err, says)
      assertSecret(exit)
      assert.deepEqual(readdirSync(chaos.dir), [], url)
    }
  })

  test('${VAR} as the URL is filled in by us, so that the password need not stand in the command line', async () => {
    const exit = await chaos.run(['init', '${DATABASE_URL}', '--output', file], { DATABASE_URL: secretUrl() })
    assert.equal(exit.code, 0, exit.err)
    assert.doesNotMatch(exit.out, /export/)
    assertSecret(exit)
  })

  test('a name that says production is refused before anybody connects, unless --allow names it, which the file then does too', async () => {
    await server.sql('create table things (id serial primary key, label text)', 'shop-prod')
    const refused = await init('postgres://u:canary@127.0.0.1:1/shop-prod')
    assert.equal(refused.code, 3, refused.out + refused.err)
    assert.match(refused.err, /--allow shop-prod/)
    assert.ok(!existsSync(file))
    const allowed = await init(server.url('shop-prod'), '--allow', 'shop-prod')
    assert.equal(allowed.code, 0, allowed.out + allowed.err)
    assert.deepEqual(readWritten().settings.allow, ['shop-prod'])
    assert.equal((await chaos.run(['run', file, '--dry-run'], { DATABASE_URL: server.url('shop-prod') })).code, 0)
    assert.equal((await chaos.run(['discover', config(server.url('shop-prod'))])).code, 3)
  })

  test('where nothing can be touched init writes nothing, and says which GRANT lines would help', async () => {
    const poor = await init(server.url('postgres', 'poor'))
    assert.equal(poor.code, 3, poor.out + poor.err)
    assert.match(poor.err, /^GRANT .*INSERT.* ON .* TO "poor"; -- in database "postgres"$/m)
    assert.match(poor.err, /^GRANT ALTER SYSTEM ON PARAMETER "work_mem" TO "poor";$/m)
    assert.ok(!existsSync(file))
    const empty = await init(server.url('empty'))
    assert.equal(empty.code, 0, 'a setting can be changed where there is no table')
    assert.match(empty.out, /db\.insert_load is left out\. there is no table/)
  })

  test('discover shows a role with few privileges the GRANT lines, and running them is what it takes', async () => {
    const url = server.url('postgres', 'poor')
    const { code, out, err } = await chaos.run(['discover', config(url)])
    assert.equal(code, 0, err)
    assert.match(out, /db\.insert_load {2}nothing\n/)
    assert.match(
      out,
      /– nasty\.flags: poor lacks INSERT, UPDATE, DELETE\n +GRANT INSERT, UPDATE, DELETE ON nasty\.flags TO "poor"; -- in database "postgres"\n/,
    )
    const skill = async (name: string): Promise<SkillSurvey | undefined> =>
      (await discovered(config(url))).targets[0]?.skills.find((s) => s.skill === name)
    for (const name of ['db.insert_load', 'db.update_load', 'db.config_change', 'db.table_lock']) {
      // A sequence behind a column only shows once the table itself may be written.
      for (let round = 0; round < 2; round++) {
        for (const { fix } of (await skill(name))?.skipped ?? []) if (fix !== undefined) await server.sql(fix)
      }
      const left = await skill(name)
      assert.ok((left?.served.length ?? 0) > 0, JSON.stringify(left))
      assert.deepEqual(
        left?.skipped.filter((s) => s.fix !== undefined),
        [],
        name,
      )
    }
    await server.sql('drop owned by poor; drop role poor; create role poor login')
  })

  test('discover looks once at a target that several experiments share, says what filters match, and changes nothing', async () => {
    const fresh = await snapshot(server.url())
    const shared = config(
      secretUrl(),
      { resource_filters: ['nasty\\.o.*', 'flags'] },
      { target_config: { connection_url: server.url('odd') } },
      { resource_filters: ['select'] },
      { enabled: false },
    )
    const { targets } = await discovered(shared)
    assert.deepEqual(
      targets.map((t) => t.experiments),
      [['e0', 'e2'], ['e1']],
    )
    assert.deepEqual(
      targets[0]?.filters.map((f) => [f.experiment, f.filter, f.matches.length]),
      [
        ['e0', 'nasty\\.o.*', 5],
        ['e0', 'flags', 1],
        ['e2', 'select', 1],
      ],
    )
    assert.deepEqual(
      (await discovered(shared, '--only', 'e1')).targets.map((t) => t.experiments),
      [['e1']],
    )
    const text = await chaos.run(['discover', shared])
    assert.equal(text.code, 0, text.err)
    assertSecret(text)
    assert.match(text.out, /resource_filters of e2: "select" matches "My Schema"\."select"\n/)
    assert.match(text.out, /– nasty\.triggered: its triggers \(touch\) would act on our rows\n/)
    assert.deepEqual(diff(fresh, await snapshot(server.url())), [])
    assert.ok(!existsSync(chaos.state), 'no state folder is made')
  })

  test('discover says with the exit codes of a dry run what is wrong, after it has shown what is there', async () => {
    const nothing = await chaos.run(['discover', config(server.url(), { resource_filters: ['custmers'] })])
    assert.equal(nothing.code, 2)
    assert.match(nothing.out, /nasty\.customers/)
    assert.match(nothing.err, /experiment "e0": resource_filters: "custmers" matches nothing/)
    const away = await chaos.run(['discover', config('postgres://u:canary@127.0.0.1:1/db')])
    assert.equal(away.code, 1)
    assertSecret(away)
    assert.equal((await chaos.run(['discover', config(server.url(), { skills: [] })])).code, 2)
    assert.equal((await chaos.run(['discover', config(server.url()), '--only', 'nobody'])).code, 2)
    const schema = config(server.url(), { target_config: { connection_url: server.url(), schemas: ['nsty'] } })
    assert.match((await chaos.run(['discover', schema])).err, /no schema "nsty"/)
  })
})
