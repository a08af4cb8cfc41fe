/** D17: databases whose texts our client's UTF-8 cannot show or give back, and rows that no page takes, failed only when they were written. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { RefusedError } from '../../src/core/errors.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, updateLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { surveyOf } from './looking.ts'

let server: Postgres
const rigs: Rig[] = []
before(async () => void (server = await startPostgres()))
after(() => server.stop())
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.close()
})

async function open(skill: typeof insertLoad | typeof updateLoad, params: object, database: string): Promise<Rig> {
  const config = { connection_url: server.url(database), db_type: 'postgres' as const, schemas: [] }
  const rig = await openRig({
    ...{ skill, params },
    connect: (options) => connectPostgres(config, [insertLoad, updateLoad], options),
  })
  rigs.push(rig)
  return rig
}

/** Why a run that names the table would be refused. */
async function refused(skill: typeof insertLoad | typeof updateLoad, table: string, database: string): Promise<string> {
  const rig = await open(skill, { tables: [table] }, database)
  const error: unknown = await rig.plan().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof RefusedError, `${table}: ${String(error)}`)
  return error.message
}

/** The same judgement, from `discover`. */
async function passedOver(skill: string, table: string, database: string): Promise<string> {
  const survey = (await surveyOf(server.url(database))).skills.find((one) => one.skill === skill)
  return survey?.skipped.find(({ resource }) => resource === table)?.reason ?? ''
}

/** Every row byte for byte, in whatever encoding it is. */
async function bytesOf(table: string, database: string): Promise<unknown> {
  const sql = `select coalesce(string_agg(encode(convert_to(t::text, getdatabaseencoding()), 'hex'), ' ' order by t::text collate "C"), '') as b from ${table} t`
  return (await server.sql(sql, database))[0]?.['b']
}

async function there(table: string, database: string, rig: Rig): Promise<void> {
  const fresh = await bytesOf(table, database)
  await rig.applyAll()
  assert.notEqual(await bytesOf(table, database), fresh, 'the load changes something')
  await rig.undoAll()
  assert.equal(await bytesOf(table, database), fresh, 'every byte is as before')
}

const bytes = (hex: string, encoding: string): string => `convert_from('\\x${hex}'::bytea, '${encoding}')`

/** By encoding: a text that comes to us and goes back, and one that does not. */
const ENCODINGS: Readonly<Record<string, { good?: string; bad: string }>> = {
  // Any bytes; those that happen to be UTF-8 are shown.
  SQL_ASCII: { good: 'c3a9', bad: 'e9' },
  WIN1252: { good: '80', bad: '81' },
  // One without a character in Unicode, and one of two codes for the same character: it would come back as the other.
  EUC_JP: { good: 'a4a2', bad: 'f9a1' },
}

for (const [encoding, { good = '61', bad }] of Object.entries(ENCODINGS)) {
  describe(`D17: a database in ${encoding}`, () => {
    const database = `shop_${encoding.toLowerCase()}`
    before(async () => {
      await server.sql(
        `create database ${database} encoding '${encoding}' locale_provider libc lc_collate 'C' lc_ctype 'C' template template0`,
      )
      const fill = (table: string, value: string, from: number, to: number): string =>
        `insert into ${table} (id, name, note) select g, ${value} || g, 'note ' || g from generate_series(${from}, ${to}) g`
      for (const sql of [
        'create table mixed (id int primary key, name text not null, note text not null)',
        fill('mixed', bytes(bad, encoding), 1, 10),
        fill('mixed', `'plain '`, 11, 20),
        'create table broken (id int primary key, name text not null, note text not null)',
        fill('broken', bytes(bad, encoding), 1, 10),
        'create table fine (id int primary key, name text not null, note text not null)',
        fill('fine', bytes(good, encoding), 1, 10),
        'create table codes (code text primary key)',
        `insert into codes values (${bytes(bad, encoding)})`,
        'create table child (id serial primary key, code text not null references codes)',
        'create table orders (id serial primary key, total int not null)',
      ])
        await server.sql(sql, database)
    })

    test('only rows whose texts go back as they were are updated, and the plan says so', async () => {
      const rig = await open(updateLoad, { tables: ['public.mixed'], columns: ['name'], rows: 20 }, database)
      const { steps, notes = [] } = await rig.plan()
      assert.equal(
        steps.reduce((sum, { rows = 0 }) => sum + rows, 0),
        10,
      )
      assert.match(notes.join('\n'), new RegExp(`public\\.mixed.*no exact form in UTF-8.*${encoding}`))
      await there('public.mixed', database, rig)
    })

    test('texts that have a form in UTF-8 are updated and put back to the byte', async () => {
      const rig = await open(updateLoad, { tables: ['public.fine'], columns: ['name', 'note'], rows: 10 }, database)
      const { steps, notes = [] } = await rig.plan()
      assert.equal(steps[0]?.rows, 10)
      assert.doesNotMatch(notes.join('\n'), /UTF-8/)
      await there('public.fine', database, rig)
    })

    test('a table with no such row is refused in plan and passed over in discover, for one reason', async () => {
      const rig = await open(updateLoad, { tables: ['public.broken'], columns: ['name'] }, database)
      await assert.rejects(rig.plan(), new RegExp(`public\\.broken: of all its rows .*${encoding}`))
      // What nobody asks for by name is taken from a column that can be read.
      assert.equal(
        await passedOver('db.update_load', 'public.codes', database),
        'it has no column besides its key that could be written',
      )
    })

    test('rows go into a table beside, and a parent whose key cannot be read is said in plan', async () => {
      const why = await refused(insertLoad, 'public.child', database)
      assert.match(why, new RegExp(`must refer to a row of public\\.codes, and its texts .*${encoding}`))
      await there(
        'public.orders',
        database,
        await open(insertLoad, { tables: ['public.orders'], rows_per_table: 20 }, database),
      )
      await server.sql(`insert into codes values ('a')`, database)
      try {
        const rig = await open(insertLoad, { tables: ['public.child'], rows_per_table: 20 }, database)
        await there('public.child', database, rig)
      } finally {
        await server.sql(`delete from codes where code = 'a'`, database)
      }
    })
  })
}

test('D17: of two codes for one character the other would have come back: such rows are left alone', async () => {
  const database = 'two_codes'
  await server.sql(
    `create database ${database} encoding 'EUC_JP' locale_provider libc lc_collate 'C' lc_ctype 'C' template template0`,
  )
  await server.sql('create table marks (id int primary key, name text not null)', database)
  await server.sql(
    `insert into marks select g, ${bytes('adf0', 'EUC_JP')} || g from generate_series(1, 5) g
     union all select g, ${bytes('a2e2', 'EUC_JP')} || g from generate_series(6, 10) g`,
    database,
  )
  const rig = await open(updateLoad, { tables: ['public.marks'], columns: ['name'], rows: 10 }, database)
  const { steps } = await rig.plan()
  assert.equal(steps[0]?.rows, 5)
  await there('public.marks', database, rig)
})

test('D17: a text that changes between plan and apply to one that cannot come back is left alone', async () => {
  const rig = await open(updateLoad, { tables: ['public.marks'], columns: ['name'], rows: 10 }, 'two_codes')
  const { steps } = await rig.plan()
  assert.equal(steps[0]?.rows, 5)
  await server.sql(`update marks set name = ${bytes('adf0', 'EUC_JP')} where id = 7`, 'two_codes')
  const fresh = await bytesOf('public.marks', 'two_codes')
  for (const step of rig.steps) await rig.apply(step)
  await rig.undoAll()
  assert.equal(await bytesOf('public.marks', 'two_codes'), fresh)
})

test('D17: a name that cannot be shown in UTF-8 spoils no other table', async () => {
  const database = 'odd_names'
  await server.sql(
    `create database ${database} encoding 'SQL_ASCII' locale_provider libc lc_collate 'C' lc_ctype 'C' template template0`,
  )
  for (const sql of [
    'create table people (id serial primary key, name text not null)',
    `insert into people (name) select 'p' || g from generate_series(1, 10) g`,
    `do $do$ begin execute 'create table ' || quote_ident('caf' || ${bytes('e9', 'SQL_ASCII')}) || ' (id int primary key)';
       execute 'create table odd (id serial primary key, ' || quote_ident('pr' || ${bytes('e9', 'SQL_ASCII')}) || ' text)';
       execute 'create schema ' || quote_ident('sch' || ${bytes('e9', 'SQL_ASCII')}); end $do$`,
  ])
    await server.sql(sql, database)
  const survey = await surveyOf(server.url(database))
  for (const { skill, served } of survey.skills.filter((one) => /_load$/.test(one.skill)))
    assert.deepEqual([...new Set(served.map(({ resource }) => resource))], ['public.people'], skill)
  assert.match(await passedOver('db.insert_load', 'public.odd', database), /its definition has texts .* SQL_ASCII/)
  const rig = await open(updateLoad, { rows: 5 }, database)
  await rig.plan()
  await there('public.people', database, rig)
})

describe('D17: a row that is too wide', () => {
  const columns = (count: number, type: string): string =>
    Array.from({ length: count }, (_, i) => `c${i} ${type}`).join(', ')
  /** Tables that no row of ours fits into, and what is said of them. */
  const TOO_WIDE: Readonly<Record<string, [columns: string, why: RegExp]>> = {
    texts: [columns(600, 'text not null'), /would take \d+ bytes on a page, which has room for 8160: 60[01] columns/],
    numbers: [columns(1_100, 'bigint not null'), /would take 88\d\d bytes on a page/],
    names: [columns(130, 'name not null'), /would take \d+ bytes on a page/],
    never_moved: [columns(6, 'char(2000) not null'), /would take \d+ bytes on a page/],
    long_key: [
      'a char(2000) not null, b char(2000) not null, unique (a, b)',
      /an entry of its index on a, b would take \d+ bytes, and an index takes 2704/,
    ],
  }
  /** Those that look wide and are not, or of which a part may stay NULL. */
  const SERVED: Readonly<Record<string, string>> = {
    optional: columns(600, 'text'),
    half: `${columns(300, 'text not null')}, ${Array.from({ length: 300 }, (_, i) => `o${i} varchar(200)`).join(', ')}`,
    many: columns(350, 'text not null'),
    flags: columns(1_590, 'boolean not null'),
    packed: columns(8, 'char(2000) not null'),
    packed_key: 'a char(2000) not null, b char(2000) not null, unique (a, b)',
  }
  const database = 'wide'
  before(async () => {
    await server.sql(`create database ${database}`)
    const tables = { ...Object.fromEntries(Object.entries(TOO_WIDE).map(([name, [sql]]) => [name, sql])), ...SERVED }
    for (const [name, sql] of Object.entries(tables))
      await server.sql(`create table ${name} (id serial primary key, ${sql})`, database)
    for (let i = 0; i < 6; i++) await server.sql(`alter table never_moved alter c${i} set storage plain`, database)
    for (const c of ['a', 'b']) await server.sql(`alter table long_key alter ${c} set storage external`, database)
  })

  test('is refused in plan, and passed over in discover, with its size', async () => {
    const skipped = (await surveyOf(server.url(database))).skills.find(
      ({ skill }) => skill === 'db.insert_load',
    )?.skipped
    for (const [name, [, why]] of Object.entries(TOO_WIDE)) {
      const said = await refused(insertLoad, `public.${name}`, database)
      assert.match(said, why, name)
      const alike = skipped?.find(({ resource }) => resource === `public.${name}`)?.reason
      assert.equal(said, `db.insert_load cannot use public.${name}: ${alike}; choose another table or leave it out`)
    }
  })

  test('is served where it fits once long values are moved away or optional ones stay NULL', async () => {
    for (const name of Object.keys(SERVED)) {
      const rig = await open(insertLoad, { tables: [`public.${name}`], rows_per_table: 30 }, database)
      await rig.applyAll()
      const [row] = await server.sql(`select count(*)::int as n from ${name}`, database)
      assert.equal(row?.['n'], 30, name)
      await rig.undoAll()
      assert.deepEqual(await server.sql(`select from ${name}`, database), [], name)
    }
  })

  test('an update takes no row that a longer value of ours would not fit into', async () => {
    const all = Array.from({ length: 504 }, (_, i) => `c${i}`)
    await server.sql(`create table crowded (id int primary key, ${columns(504, 'text')})`, database)
    // 15 bytes each leave room for no longer one.
    await server.sql(
      `insert into crowded select g, ${all.map(() => `'${'x'.repeat(15)}'`).join(', ')} from generate_series(1, 5) g`,
      database,
    )
    assert.match(await refused(updateLoad, 'public.crowded', database), /no room on a page for a longer value/)
    await server.sql(`insert into crowded (id, c0) select g, 'short' from generate_series(6, 9) g`, database)
    const rig = await open(updateLoad, { tables: ['public.crowded'], rows: 9 }, database)
    const { steps } = await rig.plan()
    assert.equal(steps[0]?.rows, 4)
    await there('public.crowded', database, rig)
  })

  test('an update takes no row whose entry in an index would become too long', async () => {
    await server.sql('create table long_entries (id int primary key, a text not null, b text not null)', database)
    await server.sql('create index on long_entries (a, b)', database)
    await server.sql(`alter table long_entries alter a set storage external`, database)
    await server.sql(
      `insert into long_entries select g, case when g <= 5 then repeat('x', 2650) else 'short' end, 'b' from generate_series(1, 10) g`,
      database,
    )
    const rig = await open(updateLoad, { tables: ['public.long_entries'], columns: ['b'], rows: 10 }, database)
    const { steps } = await rig.plan()
    assert.equal(steps[0]?.rows, 5)
    await there('public.long_entries', database, rig)
  })
})
