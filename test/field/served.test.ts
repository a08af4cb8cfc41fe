/** Tables that were refused without need (field case D8): each is loaded, taken back, and the database is as before. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, updateLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'

describe('D8: tables that were refused without need', () => {
  let server: Postgres
  const rigs: Rig[] = []
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop())
  beforeEach(() =>
    server.sql(`drop schema if exists app cascade; create schema app;
      create function app.noted() returns trigger language plpgsql as
        $$ begin insert into app.notes (what) values (tg_op); return coalesce(new, old); end $$;
      create table app.notes (id bigserial primary key, what text)`),
  )
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })

  async function open(params: object, skill: typeof insertLoad | typeof updateLoad = insertLoad): Promise<Rig> {
    const rig = await openRig({
      skill,
      params,
      connect: (options) =>
        connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: ['app'] }, [skill], options),
    })
    rigs.push(rig)
    return rig
  }

  /** Loads the tables, checks that rows went in, undoes it, and compares. Returns what was inserted, by table. */
  async function comesBack(params: object, skill: typeof insertLoad | typeof updateLoad = insertLoad): Promise<Rig> {
    const before = await snapshot(server.url())
    const rig = await open(params, skill)
    for (const { inEffect, load = 0 } of await rig.applyAll()) assert.ok(inEffect + load > 0, 'nothing took effect')
    await rig.undoAll()
    for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
    const left = diff(before, await snapshot(server.url())).filter((line) => !line.startsWith('session '))
    assert.deepEqual(left, [])
    return rig
  }

  /** Why a table is passed over by a skill that picks by itself; undefined when it is not. */
  async function reason(table: string, skill: typeof insertLoad | typeof updateLoad = insertLoad) {
    const rig = await open({}, skill)
    return (await rig.plan()).skipped?.find((one) => one.resource === table)?.reason
  }

  for (const [what, trigger] of [
    ['for each row before update', 'before update on app.t for each row'],
    ['for each statement after update', 'after update on app.t for each statement'],
    ['before update of one column', 'before update of a on app.t for each row'],
    ['after truncate', 'after truncate on app.t for each statement'],
  ] as const) {
    test(`a trigger ${what} keeps no row from being inserted`, async () => {
      await server.sql(`create table app.t (id serial primary key, a text, b text unique);
        create trigger it ${trigger} execute function app.noted()`)
      await comesBack({ tables: ['app.t'], rows_per_table: 20 })
    })
  }

  for (const state of ['disable trigger it', 'enable replica trigger it']) {
    test(`a trigger that does not fire (${state}) keeps no row from being inserted or updated`, async () => {
      await server.sql(`create table app.t (id serial primary key, a text);
        create trigger it before insert or update or delete on app.t for each row execute function app.noted();
        alter table app.t ${state}; insert into app.t (a) select 'row ' || i from generate_series(1, 5) i`)
      await comesBack({ tables: ['app.t'], rows_per_table: 20 })
      await comesBack({ tables: ['app.t'], rows: 3 }, updateLoad)
    })
  }

  for (const when of ['before insert', 'after delete', 'before insert or update']) {
    test(`a trigger ${when} still keeps the table away`, async () => {
      await server.sql(`create table app.t (id serial primary key, a text);
        create trigger it ${when} on app.t for each row execute function app.noted()`)
      assert.match((await reason('app.t')) ?? '', /its triggers \(it\) would act on our rows/)
    })
  }

  test('a trigger that never fires for UPDATE keeps no value from being updated', async () => {
    await server.sql(`create table app.t (id serial primary key, a text);
      insert into app.t (a) select 'row ' || i from generate_series(1, 5) i;
      create trigger it before insert or delete on app.t for each row execute function app.noted()`)
    await comesBack({ tables: ['app.t'], rows: 3 }, updateLoad)
  })

  test('a column that a trigger listens to is not updated; others of the table are', async () => {
    await server.sql(`create table app.t (id serial primary key, a text, b text);
      insert into app.t (a, b) select 'row ' || i, 'b' || i from generate_series(1, 5) i;
      create trigger it before update of a on app.t for each row execute function app.noted()`)
    await comesBack({ tables: ['app.t'], rows: 3 }, updateLoad)
    const rig = await open({ tables: ['app.t'], columns: ['a'] }, updateLoad)
    await assert.rejects(rig.plan(), /its column a has a trigger \(it\)/)
  })

  test('the search column that a function of the server keeps up is no obstacle', async () => {
    await server.sql(`create table app.films (id serial primary key, title text not null, words tsvector not null);
      create trigger words before insert or update on app.films for each row
        execute function tsvector_update_trigger(words, 'pg_catalog.english', title)`)
    await comesBack({ tables: ['app.films'], rows_per_table: 20 })
  })

  test('every type of the server has values: money, ranges, bits, text search, geometry, composites, domains and arrays of them', async () => {
    const withXml = await server.sql(`select '<a/>'::xml`).then(
      () => true,
      () => false, // built without it
    )
    await server.sql(`
      create type app.address as (street text, no int, at timestamptz, price numeric(8,2), tags text[]);
      create type app.spans as range (subtype = float8);
      create type app.level as enum ('low', 'high');
      create domain app.cents as money check (value >= '0'::money);
      create domain app.zip as char(5) check (value ~ '^[0-9]{5}$');
      create table app.t (id int generated always as identity primary key, code varchar(3) not null unique,
        m money not null, c app.cents not null, z app.zip not null, b bit(7) not null, b1 bit not null, vb varbit(9) not null, v tsvector not null,
        q tsquery not null, p point not null, l line not null, s lseg not null, x box not null, pa path not null, po polygon not null,
        ci circle not null, ir int4range not null, nr numrange not null, tr tstzrange not null, dr daterange not null,
        im int4multirange not null, dm datemultirange not null, n inet not null, cd cidr not null, ma macaddr not null, m8 macaddr8 not null,
        a app.address not null, aa app.address[] not null, sp app.spans not null, zs app.zip[] not null, lv app.level[] not null,
        iv interval not null, j json not null, jb jsonb not null, u uuid not null, by bytea not null, xs box[] not null,
        ch "char" not null, ls pg_lsn not null, jp jsonpath not null, o oid not null, nu numeric(5,5) not null, ti timetz not null,
        double int generated always as (length(code) * 2) stored${withXml ? ', xm xml not null' : ', xm xml'})`)
    await comesBack({ tables: ['app.t'], rows_per_table: 50 })
  })

  const BOUNDS: Record<string, string> = {
    'by range of time': `create table app.p (id bigserial, at timestamptz not null default now(), what text not null, primary key (id, at)) partition by range (at);
      create table app.p_1 partition of app.p for values from ('2024-01-01') to ('2024-02-01');
      create table app.p_2 partition of app.p for values from ('2024-02-01') to ('2024-03-01');
      insert into app.p (at, what) values ('2024-01-05', 'a'), ('2024-02-05', 'b')`,
    'by range of its own numbers': `create table app.p (id bigserial primary key, what text not null) partition by range (id);
      create table app.p_1 partition of app.p for values from (1) to (100000);
      create table app.p_2 partition of app.p for values from (100000) to (200000);
      insert into app.p (what) select 'w' || i from generate_series(1, 10) i`,
    'by list, with one of its own for the rest':
      `create type app.kind as enum ('a', 'b', 'c');
      create table app.p (id serial, kind app.kind not null, what text unique, unique (id, kind)) partition by list (kind)`.replace(
        ' unique,',
        ',',
      ) +
      `; create table app.p_a partition of app.p for values in ('a'); create table app.p_rest partition of app.p default`,
    'by list without the rest, nested by hash': `
      create table app.p (id uuid not null default gen_random_uuid(), region text not null, what text, primary key (id, region)) partition by list (region);
      create table app.p_eu partition of app.p for values in ('eu', 'uk') partition by hash (id);
      create table app.p_eu_0 partition of app.p_eu for values with (modulus 2, remainder 0);
      create table app.p_eu_1 partition of app.p_eu for values with (modulus 2, remainder 1);
      create table app.p_us partition of app.p for values in ('us'); insert into app.p (region) values ('eu'), ('us')`,
    'by hash, half of it missing': `create table app.p (id int not null, what varchar(20), primary key (id)) partition by hash (id);
      create table app.p_0 partition of app.p for values with (modulus 2, remainder 0)`,
    'by a parent, of which some have no partition': `create table app.tenants (id serial primary key, name text);
      insert into app.tenants (name) select 't' || i from generate_series(1, 20) i;
      create table app.p (tenant int not null references app.tenants, id serial, what text, primary key (tenant, id)) partition by list (tenant);
      create table app.p_1 partition of app.p for values in (3, 4, 5); insert into app.p (tenant, what) values (3, 'x')`,
  }
  for (const [how, sql] of Object.entries(BOUNDS)) {
    test(`a table partitioned ${how} is loaded through its parent`, async () => {
      await server.sql(sql)
      const rig = await comesBack({ tables: ['app.p'], rows_per_table: 40 })
      const { keys = [] } = rig.steps[0]!.step as { keys?: string[][] }
      assert.ok(keys.length > 0)
      if (!how.includes('half')) await comesBack({ tables: ['app.p'], rows: 2 }, updateLoad).catch(onlyNoRows)
      assert.match((await reason('app.p_1').catch(() => undefined)) ?? 'a partition of app.p', /a partition of app\.p/)
    })
  }
  function onlyNoRows(error: unknown): void {
    assert.match(String(error), /no rows left/)
  }

  test('rows that refer to rows of a partition are found: a key to the partition itself keeps the row, and nothing of others goes', async () => {
    await server.sql(`${BOUNDS['by range of time']!};
      create table app.child (id serial primary key, pid bigint, pat timestamptz, foreign key (pid, pat) references app.p on delete cascade)`)
    const rig = await open({ tables: ['app.p'], rows_per_table: 20 })
    await rig.applyAll()
    await server.sql(
      `insert into app.child (pid, pat) select id, at from app.p where what like 'chaos%' order by id limit 1`,
    )
    await rig.undoAll()
    assert.equal((await rig.inspect(rig.steps[0]!)).foreign, 1)
    assert.deepEqual(await server.sql('select count(*)::int as n from app.child'), [{ n: 1 }])
    assert.deepEqual(await server.sql('select count(*)::int as n from app.p'), [{ n: 3 }])
  })

  test('a row trigger of one partition counts as one of the whole table', async () => {
    await server.sql(`${BOUNDS['by range of time']!};
      create trigger it before insert on app.p_2 for each row execute function app.noted()`)
    assert.match((await reason('app.p')) ?? '', /triggers \(it\)/)
    await server.sql('alter table app.p_2 disable trigger it')
    await comesBack({ tables: ['app.p'], rows_per_table: 10 })
  })

  test('a table without any partition, and a partition that is named, are refused in words', async () => {
    await server.sql(
      `${BOUNDS['by range of time']!}; create table app.bare (id int primary key) partition by range (id)`,
    )
    assert.match((await reason('app.bare')) ?? '', /it has no partitions/)
    const rig = await open({ tables: ['app.p_1'] })
    await assert.rejects(rig.plan(), /app\.p_1: it is a partition of app\.p: its rows are reached through that table/)
  })

  for (const [what, sql] of [
    [
      'whose unique index lets NULL pass',
      'create table app.t (a text, b int, c text); create unique index on app.t (a, b)',
    ],
    ['of log lines without any key', 'create table app.t (at timestamp, line text)'],
    ['with a number that nothing makes unique', 'create table app.t (n bigserial, ok boolean, k int)'],
  ] as const) {
    test(`a table ${what} gets keys that we choose`, async () => {
      await server.sql(`${sql}; insert into app.t default values; insert into app.t default values`)
      await comesBack({ tables: ['app.t'], rows_per_table: 30 })
    })
  }

  test('triggers: allow is for named tables; the plan names the function and its owner; the rows are taken back', async () => {
    await server.sql(`create table app.t (id serial primary key, a text);
      create trigger it after insert on app.t for each row execute function app.noted()`)
    assert.equal(insertLoad.params.safeParse({ triggers: 'allow' }).success, false)
    assert.equal(updateLoad.params.safeParse({ triggers: 'allow' }).success, false)
    const rig = await open({ tables: ['app.t'], rows_per_table: 20, triggers: 'allow' })
    const { notes = [] } = await rig.plan()
    assert.match(notes.join('\n'), /rows of app\.t fire its triggers.*it \(function app\.noted of owner postgres\)/)
    await rig.applyAll()
    await rig.undoAll()
    assert.deepEqual(await server.sql('select count(*)::int as n from app.t'), [{ n: 0 }])
    assert.deepEqual(await server.sql('select count(*)::int as n from app.notes'), [{ n: 20 }])
  })

  test('triggers: allow commits nothing where a trigger would keep our rows from being deleted again', async () => {
    await server.sql(`create table app.t (id serial primary key, a text);
      create function app.softly() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger it before delete on app.t for each row execute function app.softly()`)
    const rig = await open({ tables: ['app.t'], rows_per_table: 20, triggers: 'allow' })
    await rig.plan()
    await assert.rejects(
      rig.apply(rig.steps[0]!),
      /triggers of app\.t would keep 20 rows of ours from being deleted again/,
    )
    await rig.undoAll()
    assert.deepEqual(await server.sql('select count(*)::int as n from app.t'), [{ n: 0 }])
  })
})
