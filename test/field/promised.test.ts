/** D20: rows that a plan promised and that never went in, because every row that they could refer to was taken. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { planOf, surveyOf } from './looking.ts'

describe('D20: a planned table yields what the plan promises', () => {
  let server: Postgres
  const rigs: Rig[] = []
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop())
  beforeEach(() =>
    server.sql(`drop schema if exists app cascade; create schema app;
      create table app.users (id serial primary key, name text);
      insert into app.users (name) select 'user ' || i from generate_series(1, 12) i`),
  )
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })

  async function open(params: object): Promise<Rig> {
    const rig = await openRig({
      skill: insertLoad,
      params,
      connect: (options) =>
        connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: ['app'] }, [insertLoad], options),
    })
    rigs.push(rig)
    return rig
  }

  /** Plans, loads and undoes: as many rows go in as the plan says. Returns that number, and the notes. */
  async function yields(params: object): Promise<{ rows: number; notes: string }> {
    const before = await snapshot(server.url())
    const rig = await open(params)
    const { steps, notes = [] } = await rig.plan()
    const rows = steps.reduce((sum, step) => sum + (step.rows ?? 0), 0)
    let inEffect = 0
    for (const step of rig.steps) {
      await rig.apply(step)
      inEffect += (await rig.inspect(step)).inEffect
    }
    assert.equal(inEffect, rows, 'the plan promised another number')
    await rig.undoAll()
    const left = diff(before, await snapshot(server.url())).filter((line) => !line.startsWith('session '))
    assert.deepEqual(left, [])
    return { rows, notes: notes.join('\n') }
  }

  const PROFILES: Record<string, string> = {
    'whose key is the reference': 'create table app.profiles (user_id int primary key references app.users, bio text)',
    'whose reference is unique':
      'create table app.profiles (id serial primary key, user_id int not null unique references app.users, bio text)',
    'whose unique index carries another column': `create table app.profiles (id serial primary key, user_id int not null references app.users, bio text);
       create unique index on app.profiles (user_id) include (bio)`,
  }
  for (const [what, sql] of Object.entries(PROFILES)) {
    test(`a 1:1 child ${what} is not planned where every parent is taken`, async () => {
      await server.sql(`${sql}; insert into app.profiles (user_id) select id from app.users`)
      const rig = await open({ tables: ['app.profiles'], rows_per_table: 20 })
      await assert.rejects(
        rig.plan(),
        /app\.profiles: every row of app\.users has a row of it already, and its user_id must be unique/,
      )
      const named = await planOf(server.url(), { skill: 'db.insert_load', params: { rows_per_table: 20 } })
      // Where the same run makes new parents first, it may have them.
      const { steps } = named
      assert.ok(steps.every((s) => s.resource !== 'app.profiles') || steps.some((s) => s.resource === 'app.users'))
    })

    test(`of a 1:1 child ${what} so many rows are planned as parents are free`, async () => {
      await server.sql(`${sql}; insert into app.profiles (user_id) select id from app.users where id <= 5`)
      const { rows, notes } = await yields({ tables: ['app.profiles'], rows_per_table: 20 })
      assert.equal(rows, 7)
      assert.match(
        notes,
        /app\.profiles takes 7 of 20 rows: its user_id must be unique, and every other row of app\.users/,
      )
      assert.equal((await yields({ tables: ['app.profiles'], rows_per_table: 6 })).notes.includes('takes'), false)
      // In more than one batch, too.
      assert.equal((await yields({ tables: ['app.profiles'], rows_per_table: 20, batch_rows: 3 })).rows, 7)
    })
  }

  test('new parents of the same run count as free', async () => {
    await server.sql(
      `${PROFILES['whose key is the reference']!}; insert into app.profiles select id from app.users where id > 2`,
    )
    const { rows, notes } = await yields({ tables: ['app.profiles', 'app.users'], rows_per_table: 20 })
    assert.equal(rows, 40)
    assert.doesNotMatch(notes, /takes/)
  })

  test('a run that fills a table twice counts the free parents once', async () => {
    await server.sql(
      `${PROFILES['whose key is the reference']!}; insert into app.profiles select id from app.users where id <= 5`,
    )
    const entry = { skill: 'db.insert_load', params: { tables: ['app.profiles'], rows_per_table: 5 } }
    const { steps } = await planOf(server.url(), { ...entry, count: 2 })
    assert.deepEqual(
      steps.map((s) => s.describe),
      ['insert 5 rows into app.profiles', 'insert 2 rows into app.profiles'],
    )
    await assert.rejects(
      planOf(server.url(), { ...entry, count: 3 }),
      /every row of app\.users has a row of it already/,
    )
  })

  test('a reference that may be NULL runs out of nothing', async () => {
    await server.sql(`create table app.profiles (id serial primary key, user_id int unique references app.users, bio text);
      insert into app.profiles (user_id) select id from app.users where id <= 9`)
    assert.equal((await yields({ tables: ['app.profiles'], rows_per_table: 20 })).rows, 20)
  })

  test('the few free parents of a large table are found', async () => {
    await server.sql(`insert into app.users (name) select 'user ' || i from generate_series(1, 40000) i;
      ${PROFILES['whose key is the reference']!};
      insert into app.profiles select id from app.users where id % 8000 <> 0; analyze app.users; analyze app.profiles`)
    assert.equal((await yields({ tables: ['app.profiles'], rows_per_table: 20 })).rows, 5)
  })

  const PAIRS: Record<string, string> = {
    'whose key is the pair':
      'create table app.likes (a int references app.users, b int references app.things, seen boolean, primary key (a, b))',
    'with a number of its own':
      'create table app.likes (id serial primary key, a int not null references app.users, b int not null references app.things, unique (b, a))',
    'with columns in common': `alter table app.users add unique (id, name); alter table app.things add t text default 'x'; update app.things set t = 'x';
       create table app.likes (a int not null, n text not null, b int not null references app.things, foreign key (a, n) references app.users (id, name), primary key (a, b))`,
  }
  for (const [what, sql] of Object.entries(PAIRS)) {
    const name = what.includes('common') ? ', n' : ''
    const value = what.includes('common') ? ', u.name' : ''
    test(`of a join table ${what} so many rows are planned as pairs are free, and all of them go in`, async () => {
      await server.sql(`create table app.things (id serial primary key);
        insert into app.things select generate_series(1, 10); ${sql};
        insert into app.likes (a, b${name}) select u.id, t.id${value} from app.users u, app.things t where (u.id, t.id) not in ((3, 4), (3, 5), (7, 9))`)
      const { rows, notes } = await yields({ tables: ['app.likes'], rows_per_table: 20 })
      assert.equal(rows, 3)
      assert.match(notes, /app\.likes takes 3 of 20 rows.*combination of/)
      await server.sql(
        `insert into app.likes (a, b${name}) select u.id, t.id${value} from app.users u, app.things t on conflict do nothing`,
      )
      const rig = await open({ tables: ['app.likes'], rows_per_table: 20 })
      await assert.rejects(rig.plan(), /app\.likes: every combination of .* has a row of it already/)
    })
  }

  test('of a join table whose references may be NULL, and of three references, what is planned goes in', async () => {
    await server.sql(`create table app.things (id serial primary key); insert into app.things select generate_series(1, 3);
      create table app.maybe (id serial primary key, a int references app.users, b int references app.things, unique (a, b));
      insert into app.maybe (a, b) select u.id, t.id from app.users u, app.things t where u.id > 1;
      create table app.three (a int references app.users, b int references app.things, c int references app.things, primary key (a, b, c));
      insert into app.three select u.id, t.id, s.id from app.users u, app.things t, app.things s where u.id < 12 or t.id = 1`)
    assert.equal((await yields({ tables: ['app.maybe'], rows_per_table: 20 })).rows, 20)
    assert.equal((await yields({ tables: ['app.three'], rows_per_table: 20 })).rows, 6)
  })

  test('a large join table gets every row that is planned', async () => {
    await server.sql(`create table app.things (id serial primary key);
      insert into app.users (name) select 'u' from generate_series(1, 588); insert into app.things select generate_series(1, 600);
      create table app.likes (a int references app.users, b int references app.things, primary key (a, b));
      insert into app.likes select u.id, t.id from app.users u, app.things t where (u.id + t.id) % 100 <> 0; analyze`)
    assert.equal((await yields({ tables: ['app.likes'], rows_per_table: 3000 })).rows, 3000)
  })

  const FEW: [what: string, sql: string, rows: number][] = [
    [
      'an enum',
      `create type app.mood as enum ('calm', 'cross', 'glad', 'sad'); create table app.few (id serial primary key, v app.mood not null unique)`,
      3,
    ],
    [
      'an enum that is the key',
      `create type app.mood as enum ('calm', 'cross', 'glad', 'sad'); create table app.few (v app.mood primary key, note text)`,
      3,
    ],
    ['a boolean', 'create table app.few (id serial primary key, v boolean not null unique)', 1],
    [
      'a list in a CHECK',
      `create table app.few (id serial primary key, v text not null unique check (v in ('a', 'b', 'c')))`,
      2,
    ],
    [
      'a domain',
      `create domain app.size as text check (value in ('S', 'M', 'L')); create table app.few (id serial primary key, v app.size not null unique)`,
      2,
    ],
    ['a pattern', `create table app.few (id serial primary key, v text not null unique check (v ~ '^[AB][0-4]$'))`, 9],
    [
      'two together',
      `create type app.mood as enum ('calm', 'cross'); create table app.few (v app.mood not null, w boolean not null, primary key (v, w))`,
      3,
    ],
    ['one row', `create table app.few (v char(1) primary key default 'X' check (v in ('X', 'Y')), n int not null)`, 1],
  ]
  const FIRST: Record<string, string> = {
    ...{
      'a boolean': 'true',
      'a list in a CHECK': `'b'`,
      'a domain': `'M'`,
      'a pattern': `'A3'`,
      'two together': `'calm'`,
    },
    'one row': `'X'`,
  }
  for (const [what, sql, free] of FEW) {
    test(`of a unique column of few values (${what}) so many rows are planned as values are free`, async () => {
      await server.sql(`${sql}; insert into app.few (v${what === 'two together' ? ', w' : what === 'one row' ? ', n' : ''})
        values (${FIRST[what] ?? `'glad'`}${what === 'two together' ? ', true' : what === 'one row' ? ', 1' : ''})`)
      const { rows, notes } = await yields({ tables: ['app.few'], rows_per_table: 20 })
      assert.equal(rows, free)
      assert.match(notes, /app\.few takes \d+ of 20 rows: its .* must be unique, and only so many values are free/)
      const entry = { skill: 'db.insert_load', params: { tables: ['app.few'], rows_per_table: 1 } }
      if (free > 1) assert.equal((await planOf(server.url(), { ...entry, count: 2 })).steps.length, 2)
      await assert.rejects(
        planOf(server.url(), { ...entry, count: free + 1 }),
        /every value of its .* is taken already/,
      )
    })
  }

  test('a unique column of few values that may be NULL takes every row', async () => {
    await server.sql(
      'create table app.few (id serial primary key, v boolean unique); insert into app.few (v) values (true)',
    )
    assert.equal((await yields({ tables: ['app.few'], rows_per_table: 20 })).rows, 20)
  })

  test('what discover offers is what a run does', async () => {
    await server.sql(`${PROFILES['whose key is the reference']!}; insert into app.profiles select id from app.users;
      create function app.noted() returns trigger language plpgsql as 'begin return new; end';
      create trigger it before insert on app.users for each row execute function app.noted()`)
    const { skills } = await surveyOf(server.url())
    const { served = [], skipped = [] } = skills.find((s) => s.skill === 'db.insert_load') ?? {}
    assert.deepEqual(served, [])
    assert.match(skipped.find((s) => s.resource === 'app.profiles')?.reason ?? '', /every row of app\.users/)
  })
})
