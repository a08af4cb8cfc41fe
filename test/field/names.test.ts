/** Field case D2: whatever a user calls a column or a table, none of our statements takes it for a name of its own. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, updateLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'

let server: Postgres
before(async () => void (server = await startPostgres()))
after(() => server.stop())

const open = (skill: typeof insertLoad | typeof updateLoad, params: object, user = 'postgres'): Promise<Rig> =>
  openRig({
    skill,
    params,
    connect: (options) =>
      connectPostgres(
        { connection_url: server.url('postgres', user), db_type: 'postgres', schemas: [] },
        [insertLoad, updateLoad],
        options,
      ),
  })

const differences = async (was: Awaited<ReturnType<typeof snapshot>>): Promise<string[]> =>
  diff(was, await snapshot(server.url())).filter((line) => !line.startsWith('session '))

/** Applies, undoes and compares; then the same with what a person is told to run. */
async function thereAndBack(
  skill: typeof insertLoad | typeof updateLoad,
  params: object,
  user = 'postgres',
): Promise<number> {
  const was = await snapshot(server.url())
  let applied = 0
  for (const how of ['undo', 'by hand']) {
    const rig = await open(skill, params, user)
    try {
      for (const { inEffect, load = 0 } of await rig.applyAll()) assert.ok(inEffect + load > 0)
      applied = rig.steps.length
      if (how === 'undo') await rig.undoAll()
      else {
        for (const { step } of [...rig.steps].reverse()) {
          const { lines } = skill.byHand(step as never, { mark: 'm', config: { connection_url: server.url() } })
          const start = lines.findIndex((line) => line.includes('<<'))
          if (start >= 0) await server.sql(lines.slice(start + 1, -1).join('\n'))
        }
      }
      for (const step of rig.steps)
        assert.equal((await rig.inspect(step)).inEffect, 0, `${how}: ${step.planned.resource}`)
      assert.deepEqual(await differences(was), [], how)
    } finally {
      await rig.close()
    }
  }
  return applied
}

describe('D2: a column is called like a name in our SQL', () => {
  test('the tables of pgbench -i --foreign-keys, whose tellers have a column tid', async () => {
    await server.sql(`create schema bench;
      create table bench.pgbench_branches (bid int not null primary key, bbalance int, filler char(88)) with (fillfactor = 100);
      create table bench.pgbench_tellers (tid int not null primary key, bid int references bench.pgbench_branches, tbalance int, filler char(84)) with (fillfactor = 100);
      create table bench.pgbench_accounts (aid int not null primary key, bid int references bench.pgbench_branches, abalance int, filler char(84)) with (fillfactor = 100);
      create table bench.pgbench_history (tid int references bench.pgbench_tellers, bid int references bench.pgbench_branches,
        aid int references bench.pgbench_accounts, delta int, mtime timestamp, filler char(22));
      insert into bench.pgbench_branches values (1, 0);
      insert into bench.pgbench_tellers select g, 1, 0 from generate_series(1, 10) g;
      insert into bench.pgbench_accounts select g, 1, 0 from generate_series(1, 1000) g;
      insert into bench.pgbench_history select 1 + g % 10, 1, g, g, '2024-01-01' from generate_series(1, 50) g`)
    const tables = ['bench.pgbench_tellers', 'bench.pgbench_branches', 'bench.pgbench_accounts']
    assert.equal(await thereAndBack(insertLoad, { rows_per_table: 50, tables }), 3)
    assert.ok((await thereAndBack(updateLoad, { rows: 20, tables })) >= 3)
    await server.sql('drop schema bench cascade')
  })

  test('every identifier of every statement we send is a column in each role, and a table', async () => {
    const names = await identifiersOfOurStatements()
    for (const expected of ['tid', 'writer', 'k0', 'c0', 'ord', 't', 'r', 'ins', 'span'])
      assert.ok(names.aliases.includes(expected), expected)
    const { ddl, tables } = tablesOf(names)
    await server.sql(ddl)
    assert.equal(await thereAndBack(insertLoad, { rows_per_table: 4, tables }), tables.length)
    assert.ok((await thereAndBack(updateLoad, { rows: 3 * tables.length, tables })) >= tables.length)
    await server.sql('drop schema named cascade')
  })

  test('functions and operators of the application that would suit our arguments better are not called', async () => {
    await server.sql(`create schema app; create table app.calls (what text);
      create table app.things (id serial primary key, "ord" int unique check ("ord" > 0), name text not null);
      insert into app.things ("ord", name) select g, 'thing ' || g from generate_series(1, 20) g;
      create function app.unnest(text[]) returns setof text language sql as $$ insert into app.calls values ('unnest'); select null::text $$;
      create function app.min(integer) returns integer language sql as $$ select -1 $$;
      create function app.random() returns double precision language sql as $$ insert into app.calls values ('random'); select 0.5::float8 $$;
      create function app.nextval(text) returns bigint language sql as $$ insert into app.calls values ('nextval'); select 1::bigint $$;
      create function app.numeric_equal(text, text) returns boolean language sql as $$ insert into app.calls values ('='); select false $$;
      create operator app.= (leftarg = text, rightarg = text, function = app.numeric_equal);
      create table app.unnest (id int primary key); create table app.pg_class (id int primary key); create table app.chaos_rows (id int primary key);
      create role shadowed login superuser; alter role shadowed set search_path = app, pg_catalog`)
    try {
      const tables = ['app.things']
      await thereAndBack(insertLoad, { rows_per_table: 30, tables }, 'shadowed')
      await thereAndBack(updateLoad, { rows: 5, tables }, 'shadowed')
      assert.deepEqual(await server.sql('select * from app.calls'), [])
    } finally {
      await server.sql('drop schema app cascade; drop role shadowed')
    }
  })
})

/** Words that are names of columns which every table has: nobody can call a column so. */
const SYSTEM = ['tableoid', 'cmax', 'xmax', 'cmin', 'xmin', 'ctid']

interface Names {
  all: string[]
  /** Those that our statements give. */
  aliases: string[]
}

/** Both skills on a table of each kind, undone once with and once without rows of the application in between. */
async function identifiersOfOurStatements(): Promise<Names> {
  await server.sql(`create schema plain;
    create table plain.a (id serial primary key, parent int references plain.a, label text, size int check (size > 0), code uuid unique);
    create table plain.b (a1 int references plain.a, a2 int references plain.a, seen boolean, primary key (a1, a2));
    create table plain.c (id text primary key, a int references plain.a, n int);
    insert into plain.a (label, size) select 'row ' || g, g from generate_series(1, 20) g;
    insert into plain.b select g, g + 1 from generate_series(1, 10) g;
    insert into plain.c select 'c' || g, g, g from generate_series(1, 10) g`)
  const texts: string[] = []
  const prototype = pg.Client.prototype as unknown as { query(...args: unknown[]): unknown }
  const real = prototype.query
  prototype.query = function (this: unknown, ...args: unknown[]) {
    const [first] = args
    texts.push(typeof first === 'string' ? first : ((first as { text?: string }).text ?? ''))
    return real.apply(this, args)
  }
  try {
    const tables = ['plain.a', 'plain.b', 'plain.c']
    await thereAndBack(insertLoad, { rows_per_table: 10, tables })
    await thereAndBack(updateLoad, { rows: 12, tables })
    const rig = await open(insertLoad, { rows_per_table: 10, tables })
    await rig.applyAll()
    await server.sql(`update plain.b set seen = not seen; update plain.a set label = 'x'; update plain.c set n = 1`)
    await rig.undoAll()
    await rig.close()
  } finally {
    prototype.query = real
  }
  await server.sql('drop schema plain cascade')
  const text = texts.join('\n').toLowerCase()
  const usable = (found: Iterable<string>): string[] =>
    [...new Set(found)].filter((name) => !SYSTEM.includes(name) && name.length < 40)
  const all = usable(text.match(/[a-z_][a-z0-9_]*/g) ?? [])
  // What is given a name: behind `as`, or in its list of columns. What earlier versions called theirs stays forbidden.
  const given = [...text.matchAll(/\bas (?:materialized )?([a-z_]\w*)(?:\(([^()]*)\))?/g)].flatMap(
    ([, name = '', list = '']) => [name, ...(list.match(/[a-z_]\w*/g) ?? [])],
  )
  const ctes = [...text.matchAll(/(?:with|,) (?:recursive )?([a-z_]\w*)(?:\([^()]*\))? as (?:materialized )?\(/g)]
  const named = [...given, ...ctes.map(([, name = '']) => name)]
  return { all, aliases: usable([...named, 'tid', 'writer', 'span', 'v', 'i', 'x', 'o', 'b']) }
}

/** Tables of three kinds with every alias as one of their names and columns; and wide ones with all other names. */
function tablesOf({ all, aliases }: Names): { ddl: string; tables: string[] } {
  const ddl = ['create schema named']
  const tables: string[] = []
  for (let i = 0; i < aliases.length; i += 5) {
    const [a, b, c, d, e] = Array.from({ length: 5 }, (_, n) => `"${aliases[(i + n) % aliases.length] ?? ''}"`)
    const [number, pair, text] = [0, 1, 2].map((n) => `named."${aliases[i + n] ?? `more ${i + n}`}"`)
    tables.push(number ?? '', ...(i % 2 ? [pair ?? ''] : [text ?? '']))
    ddl.push(
      `create table ${number} (${a} serial primary key, ${b} int references ${number} (${a}), ${c} text, ${d} int check (${d} > 0), ${e} date)`,
      `insert into ${number} (${c}, ${d}) select 'row ' || g, g from generate_series(1, 12) g`,
      i % 2
        ? `create table ${pair} (${d} int references ${number} (${a}), ${e} int references ${number} (${a}), ${a} boolean, ${b} text, ${c} int, primary key (${d}, ${e}))`
        : `create table ${text} (${c} text primary key, ${d} int references ${number} (${a}), ${e} int, ${a} varchar(30) not null, ${b} timestamptz)`,
    )
    if (i % 2) ddl.push(`insert into ${pair} select g, g + 1, true, 'pair', g from generate_series(1, 6) g`)
    else ddl.push(`insert into ${text} select 'row ' || g, g, g, 'some', now() from generate_series(1, 8) g`)
  }
  // Each as part of a key, which our SQL says beside what it says of the row.
  for (let from = 0; from < aliases.length; from += 30) {
    const key = aliases.slice(from, from + 30).map((alias) => `"${alias}"`)
    const name = `named."keys ${from}"`
    tables.push(name)
    ddl.push(
      `create table ${name} (${key.map((column) => `${column} int`).join(', ')}, "a text" text, primary key (${key.join(', ')}))`,
      `insert into ${name} select ${key.map(() => 'g').join(', ')}, 'row ' || g from generate_series(1, 5) g`,
    )
  }
  for (let from = 0; from < all.length; from += 150) {
    const [key = '', ...columns] = all.slice(from, from + 150)
    const name = `named."wide ${from}"`
    tables.push(name)
    ddl.push(
      `create table ${name} ("${key}" serial primary key, ${columns.map((column, i) => `"${column}" ${i % 2 ? 'text' : 'int'}`).join(', ')})`,
      `insert into ${name} select from generate_series(1, 5)`,
    )
  }
  return { ddl: ddl.join(';\n'), tables }
}
