/** F1: whoever owns a table ran code as our role, through a check, a domain, an index, … of its own, even where we only looked. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { RollbackError } from '../../src/core/errors.ts'
import type { SkillInfo } from '../../src/core/skill.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, tableLock, updateLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { planOf, surveyOf } from './looking.ts'
import { startHostile } from './hostile.ts'
import type { Hostile } from './hostile.ts'

/** What mallory puts into table m.t, by name; the table has an id and a text `name` beside it. */
const KINDS: Record<string, string> = {
  'a CHECK': `create table m.t (id int primary key, name text, kind text check (kind in ('a') and m.ok(kind)))`,
  'a domain': `create domain m.d as text check (m.ok(value)); create table m.t (id int primary key, name text, v m.d)`,
  'a domain over a domain': `create domain m.d as text check (m.ok(value)); create domain m.e as m.d;
    create table m.t (id int primary key, name text, v m.e)`,
  'an array of a domain': `create domain m.d as int check (m.ok(value)); create table m.t (id int primary key, name text, v m.d[])`,
  'a composite of a domain': `create domain m.d as int check (m.ok(value)); create type m.c as (a int, b m.d);
    create table m.t (id int primary key, name text, v m.c)`,
  'a range of a domain': `create domain m.d as int check (m.ok(value)); create type m.r as range (subtype = m.d);
    create table m.t (id int primary key, name text, v m.r)`,
  'a range with a difference of its own': `create function m.diff(int, int) returns float8 language plpgsql immutable as
    $$ begin perform m.tell('diff'); return $1 - $2; end $$; create type m.r as range (subtype = int, subtype_diff = m.diff);
    create table m.t (id int primary key, name text, v m.r); create index on m.t using gist (v)`,
  'the default of a domain': `create domain m.d as int default m.bad(1); create table m.t (id int primary key, name text, v m.d[], w m.d)`,
  'a generated column': `create table m.t (id int primary key, name text, v text generated always as (m.txt(name)) stored)`,
  'an index expression': `create table m.t (id int primary key, name text); create index on m.t (m.txt(name))`,
  'an index predicate': `create table m.t (id int primary key, name text); create index on m.t (name) where m.ok(name)`,
  'a unique index expression': `create table m.t (id int primary key, name text); create unique index on m.t (m.bad(id))`,
  'a constant in an index expression': `create table m.t (id int primary key, name text); create index on m.t ((id + m.bad(1)))`,
  'extended statistics': `create table m.t (id int primary key, name text); create statistics m.s on (m.bad(id)), name from m.t`,
  'an exclusion constraint': `create operator m.=== (leftarg = int, rightarg = int, function = m.same, commutator = operator(m.===));
    create table m.t (id int primary key, name text, exclude using btree (id with =) where (m.ok(id)))`,
  'an operator': `create operator m.=== (leftarg = int, rightarg = int, function = m.same);
    create table m.t (id int primary key, name text, v int check (v operator(m.===) v))`,
  'a cast of an enum': `create type m.mood as enum ('a', 'b'); create function m.cast(m.mood) returns text language plpgsql as
    $$ begin perform m.tell('cast'); return 'a'; end $$; create cast (m.mood as text) with function m.cast(m.mood) as assignment;
    create table m.t (id int primary key, name text, v m.mood)`,
  'a partition key': `create table m.t (id int not null, name text) partition by range (m.bad(id));
    create table m.t1 partition of m.t default`,
  'a partition': `create table m.t (id int primary key, name text) partition by range (id);
    create table m.t1 partition of m.t default; alter table m.t1 add check (m.ok(name))`,
  'a table that it refers to': `create table m.p (id int primary key); insert into m.p values (1), (2); create index on m.p ((id + m.bad(1)));
    create table m.t (id int primary key, name text, p int references m.p)`,
  'a table that refers to it': `create table m.t (id int primary key, name text);
    create table m.c (t int references m.t); create index on m.c ((t + m.bad(1)))`,
  'a function that runs SQL': `create table m.t (id int primary key, name text check (query_to_xml('select m.bad(1)', true, true, '') is not null))`,
  'a function that reads a view': `create view m.v as select m.bad(1); create table m.t (id int primary key, name text
    check (table_to_xml('m.v', true, true, '') is not null))`,
  'the default of a column': `create table m.t (id int primary key default m.bad(1), name text, v text default m.txt('a'))`,
}
/** Not for a table that we only read rows of to delete them, or fill whole. */
const NOT_REFUSED = { insert: ['the default of a column'], update: ['the default of a column', 'the default of a domain', 'a table that it refers to', 'a table that refers to it'] } // prettier-ignore

describe('F1: code of others in a table', { timeout: 15 * 60_000 }, () => {
  let lab: Hostile
  let rig: Rig | undefined
  before(async () => {
    lab = await startHostile()
  })
  after(() => lab.stop())
  afterEach(async () => {
    await rig?.close()
    rig = undefined
  })

  const open = async (skill: SkillInfo, role = 'postgres'): Promise<Rig> => {
    rig = await openRig({
      skill,
      params: {},
      connect: (options) =>
        connectPostgres(
          { connection_url: lab.server.url('postgres', role), db_type: 'postgres', schemas: ['m'] },
          [insertLoad, updateLoad, tableLock],
          options,
        ),
    })
    return rig
  }
  const fresh = async (sql: string): Promise<void> => {
    await lab.fresh()
    await lab.mallory(sql)
    lab.callsAs('postgres')
  }

  for (const [kind, sql] of Object.entries(KINDS)) {
    test(`${kind}: none of it runs as a superuser in discover, dry run or run, and the reason names function and owner`, async () => {
      await fresh(sql)
      await lab.server.sql(`insert into m.t (id, name) select i, 'some text ' || i from generate_series(1, 5) i`)
      lab.callsAs('postgres')
      await surveyOf(lab.server.url())
      for (const [skill, exempt] of [
        ['db.insert_load', NOT_REFUSED.insert],
        ['db.update_load', NOT_REFUSED.update],
      ] as const) {
        if (exempt.includes(kind)) continue
        await assert.rejects(
          planOf(lab.server.url(), { skill, params: { tables: ['m.t'] } }),
          /m\.t.*(of mallory, whose code would run as postgres|could run anything as postgres)/s,
          skill,
        )
      }
      for (const skill of [insertLoad, updateLoad]) {
        await open(skill)
        await rig?.applyAll()
        await rig?.undoAll()
        await rig?.close()
      }
      assert.deepEqual(lab.callsAs('postgres'), [])
    })
  }

  /** With 5 rows inserted or updated, mallory does this, and the undo is tried twice. */
  const inTheSoak = async (skill: SkillInfo, sql: string): Promise<unknown> => {
    await fresh(`create domain m.d as text; create table m.t (id int primary key, name text, v m.d, w text);
      insert into m.t select i, 'some text ' || i, 'v', 'w' from generate_series(1, 5) i`)
    const opened = await open(skill)
    await opened.plan({ tables: ['m.t'], ...(skill === insertLoad ? { rows_per_table: 5 } : { rows: 5 }) })
    for (const step of opened.steps) await opened.apply(step)
    assert.ok(opened.steps.length > 0)
    await lab.mallory(sql)
    lab.callsAs('postgres')
    let failed: unknown
    for (const step of opened.steps) {
      await opened.inspect(step).catch((error: unknown) => (failed = error))
      await opened.undoAll().catch((error: unknown) => (failed = error))
      await opened.inspect(step).catch((error: unknown) => (failed = error))
    }
    assert.deepEqual(lab.callsAs('postgres'), [])
    return failed
  }
  const left = async (): Promise<unknown> =>
    (
      await lab.server.sql(
        `select count(*)::int as n, count(*) filter (where id <= 5 and name = 'some text ' || id)::int as old from m.t`,
      )
    )[0]
  const trigger = (event: string): string =>
    `create trigger x after ${event} on m.t for each row execute function m.fire()`

  for (const [what, sql] of Object.entries({
    'an index': 'create index on m.t (m.txt(name))',
    'an index with a constant': 'create index on m.t ((id + m.bad(1)))',
    statistics: 'create statistics m.s on (m.bad(id)), name from m.t',
    'a trigger': trigger('delete'),
    'a deferred trigger': `create constraint trigger x after delete on m.t deferrable initially deferred for each row execute function m.fire()`,
    'a referring table': 'create table m.c (t int references m.t); create index on m.c ((t + m.bad(1)))',
    'a rule': `create rule x as on delete to m.t do also select m.bad(1)`,
  })) {
    test(`${what} of a stranger's code comes in during the soak: the undo of db.insert_load does not run it, and says what is in its way`, async () => {
      const failed = await inTheSoak(insertLoad, sql)
      assert.ok(failed instanceof RollbackError, String(failed))
      assert.match(failed.message, /m\.t is not put back, because .* mallory/)
      await lab.mallory(
        'drop index if exists m.t_txt_idx, m.t_expr_idx; drop statistics if exists m.s; drop trigger if exists x on m.t; drop table if exists m.c; drop rule if exists x on m.t',
      )
      await rig?.undoAll()
      assert.deepEqual(await left(), { n: 5, old: 5 })
    })
  }

  for (const [what, sql] of Object.entries({
    'a CHECK': 'alter table m.t add check (m.ok(name)) not valid',
    'a CHECK of a domain': 'alter domain m.d add check (m.ok(value)) not valid',
    'a column that is generated': 'alter table m.t add column g int generated always as (m.bad(id)) stored',
    'a partial index': 'create index i on m.t (id) where m.ok(name)',
    'a trigger': trigger('update'),
  })) {
    test(`${what} of a stranger's code comes in during the soak: the undo of db.update_load does not run it, and says what is in its way`, async () => {
      const failed = await inTheSoak(updateLoad, sql)
      assert.ok(failed instanceof RollbackError, String(failed))
      assert.match(failed.message, /m\.t is not put back, because .* mallory/)
      await lab.mallory(
        'alter table m.t drop constraint if exists t_name_check; alter domain m.d drop constraint if exists d_check; alter table m.t drop column if exists g; drop index if exists m.i; drop trigger if exists x on m.t',
      )
      await rig?.undoAll()
      assert.deepEqual(await left(), { n: 5, old: 5 })
    })
  }

  test('a CHECK that comes in during the soak keeps no undo of db.insert_load waiting: a DELETE evaluates none', async () => {
    assert.equal(await inTheSoak(insertLoad, 'alter table m.t add check (m.ok(name)) not valid'), undefined)
    assert.deepEqual(await left(), { n: 5, old: 5 })
  })

  test('a plain role: policies, and what a superuser, the role itself and the server have code for', async () => {
    await fresh(`create table m.p (id int primary key, name text); create policy p on m.p using (m.ok(name)); alter table m.p enable row level security;
      insert into m.p select i, 'x' from generate_series(1, 5) i; create table m.t (id int primary key, p int not null references m.p);
      create table m.u (id int primary key, name text check (length(name) < 100)); grant all on all tables in schema m to rower`)
    await lab.server
      .sql(`grant usage, create on schema m to rower; create function m.fine(x text) returns boolean language plpgsql immutable as 'begin return true; end';
      alter table m.u add check (m.fine(name))`)
    await lab.server.sql(
      `set role rower; create function m.mine(x text) returns boolean language plpgsql immutable as 'begin return true; end'`,
    )
    await lab.server.sql(`alter table m.u add check (m.mine(name))`)
    lab.callsAs('rower')
    const opened = await open(insertLoad, 'rower')
    const { steps, skipped = [] } = await opened.plan({ rows_per_table: 5 })
    assert.deepEqual([...new Set(steps.map((s) => s.resource))], ['m.u'])
    assert.match(
      skipped.find(({ resource }) => resource === 'm.t')?.reason ?? '',
      /m\.ok.* of mallory, whose code would run as rower/,
    )
    for (const step of opened.steps) await opened.apply(step)
    await opened.undoAll()
    assert.deepEqual(lab.callsAs('rower'), [])
  })

  test('a function or an operator that suits better than the server’s, in a schema that comes first, is not called', async () => {
    await fresh('create table m.t (id int primary key, name text)')
    await lab.mallory(`create function m.array_to_json(name[]) returns json language plpgsql as $$ begin perform m.tell('json'); return '[]'; end $$;
      create function m.current_setting(text) returns text language plpgsql as $$ begin perform m.tell('setting'); return '150000'; end $$;
      create function m.texteq(text, text) returns boolean language plpgsql as $$ begin perform m.tell('eq'); return true; end $$;
      create operator m.= (leftarg = text, rightarg = text, function = m.texteq)`)
    await lab.server.sql('alter role postgres set search_path = m, pg_catalog')
    try {
      const opened = await open(insertLoad)
      await opened.applyAll()
      await opened.undoAll()
      await surveyOf(lab.server.url())
      // The arrangement's own connections have that path too.
      assert.deepEqual(lab.callsAs('postgres'), [])
    } finally {
      await lab.server.sql('alter role postgres reset search_path')
    }
  })

  test('db.table_lock evaluates nothing, and goes on', async () => {
    await fresh(KINDS['a CHECK'] ?? '')
    const opened = await open(tableLock)
    await opened.plan({ tables: ['m.t'] })
    for (const step of opened.steps) await opened.apply(step)
    await opened.undoAll()
    assert.deepEqual(lab.callsAs('postgres'), [])
  })
})
