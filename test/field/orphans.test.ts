/** Field case D4: rows that already point at ids to come adopt none of ours, because those ids are not used. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { StaleError } from '../../src/core/errors.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'

let server: Postgres
before(async () => void (server = await startPostgres()))
after(() => server.stop())
afterEach(() => server.sql('drop schema if exists o cascade'))

const open = (params: object): Promise<Rig> =>
  openRig({
    skill: insertLoad,
    params,
    connect: (options) =>
      connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, [insertLoad], options),
  })

/** Applies and undoes; resolves with how many rows went in. Nothing may be kept or left. */
async function there(ddl: string, params: object): Promise<number> {
  await server.sql(`create schema o; ${ddl}`)
  const was = await snapshot(server.url())
  const rig = await open(params)
  try {
    const effects = await rig.applyAll()
    for (const effect of effects) assert.equal(effect.foreign, 0)
    await rig.undoAll()
    for (const step of rig.steps) {
      const seen = await rig.inspect(step)
      assert.deepEqual([seen.inEffect, seen.foreign], [0, 0], step.planned.describe)
    }
    const left = diff(was, await snapshot(server.url())).filter((line) => !line.startsWith('session '))
    assert.deepEqual(left, [])
    return effects.reduce((sum, { inEffect }) => sum + inEffect, 0)
  } finally {
    await rig.close()
  }
}

describe('D4: rows were left because orphans adopted them', () => {
  test('a foreign key that was never validated, over rows that point at ids to come', async () => {
    const rows = await there(
      `create table o.p (id serial primary key, name text not null);
       create table o.c (id serial primary key, p_id int);
       insert into o.c (p_id) select generate_series(1, 30);
       alter table o.c add foreign key (p_id) references o.p not valid`,
      { rows_per_table: 20, tables: ['o.p'] },
    )
    assert.equal(rows, 20)
  })

  test('an identity that always counts by itself, on delete cascade, and more orphans than rows', async () => {
    const rows = await there(
      `create table o.p (id bigint generated always as identity primary key, name text not null unique);
       create table o.c (id serial primary key, p_id bigint);
       create index on o.c (p_id);
       insert into o.c (p_id) select generate_series(1, 300);
       alter table o.c add foreign key (p_id) references o.p on delete cascade not valid`,
      { rows_per_table: 7, tables: ['o.p'] },
    )
    assert.equal(rows, 7)
  })

  test('a constraint that is valid, over rows that were loaded past it', async () => {
    const rows = await there(
      `create table o.p (id serial primary key, name text not null);
       create table o.c (id serial primary key, p_id int references o.p);
       set session_replication_role = replica;
       insert into o.c (p_id) select generate_series(5, 15);
       reset session_replication_role`,
      { rows_per_table: 20, tables: ['o.p'] },
    )
    assert.equal(rows, 20)
  })

  test('a table that refers to itself', async () => {
    const rows = await there(
      `create table o.n (id serial primary key, parent int, label text);
       select setval('o.n_id_seq', 100);
       insert into o.n values (1, 105, 'a'), (2, 110, 'b'), (3, null, 'c');
       alter table o.n add foreign key (parent) references o.n not valid`,
      { rows_per_table: 20, tables: ['o.n'] },
    )
    assert.equal(rows, 20)
  })

  test('keys that we choose ourselves, and keys of several columns', async () => {
    const rows = await there(
      `create table o.k (id int primary key, label text);
       create table o.kc (id serial primary key, k_id int);
       insert into o.k values (10, 'ten');
       insert into o.kc (k_id) values (11), (13), (15);
       alter table o.kc add foreign key (k_id) references o.k not valid;
       create table o.line (k_id int references o.k, no serial, what text, primary key (k_id, no));
       create table o.note (id serial primary key, k_id int, no int);
       insert into o.note (k_id, no) select 10, generate_series(1, 5);
       alter table o.note add foreign key (k_id, no) references o.line not valid`,
      { rows_per_table: 10, tables: ['o.k'] },
    )
    assert.equal(rows, 7)
  })

  test('two levels, both filled', async () => {
    const rows = await there(
      `create table o.a (id serial primary key, name text not null);
       create table o.b (id serial primary key, a_id int not null);
       create table o.c (id serial primary key, b_id int);
       insert into o.b (a_id) select generate_series(1, 5);
       insert into o.c (b_id) select generate_series(6, 12);
       alter table o.b add foreign key (a_id) references o.a not valid;
       alter table o.c add foreign key (b_id) references o.b not valid`,
      { rows_per_table: 10, tables: ['o.a', 'o.b'] },
    )
    assert.equal(rows, 20)
  })

  test('a constraint that is not enforced', async (t) => {
    const [row] = await server.sql(`select current_setting('server_version_num')::int >= 180000 as able`)
    if (row?.['able'] !== true) {
      t.skip('this server has no such constraints')
      return
    }
    const rows = await there(
      `create table o.p (id serial primary key, name text not null);
       create table o.c (id serial primary key, p_id int references o.p not enforced);
       insert into o.c (p_id) select generate_series(1, 10)`,
      { rows_per_table: 10, tables: ['o.p'] },
    )
    assert.equal(rows, 10)
  })

  test('where they point at more ids than we would use up, the table is left alone and they are named', async () => {
    await server.sql(`create schema o; create table o.p (id serial primary key, name text not null);
       create table o.c (id serial primary key, p_id int);
       insert into o.c (p_id) select generate_series(1, 20000);
       alter table o.c add foreign key (p_id) references o.p not valid`)
    const rig = await open({ rows_per_table: 5, tables: ['o.p'] })
    try {
      await rig.plan()
      await assert.rejects(
        rig.apply(rig.steps[0]!),
        (error: Error) => error instanceof StaleError && /rows of o\.c refer \(p_id\)/.test(error.message),
      )
      assert.deepEqual(await server.sql('select count(*)::int as n from o.p'), [{ n: 0 }])
    } finally {
      await rig.close()
    }
  })
})
