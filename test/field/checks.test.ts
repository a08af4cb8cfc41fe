/** D8: empty tables that were refused for a CHECK, because no value was found although there are many: each is loaded and taken back. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { planOf, surveyOf } from './looking.ts'

const TABLES: Record<string, string> = {
  'three capitals': `c text not null check (c ~ '^[A-Z]{3}$')`,
  'three capitals in four columns': `c char(3) check (c ~ '^[A-Z]{3}$'), d varchar(3) not null check (d ~ '^[A-Z]{3}$'), check (c <> d)`,
  'words whatever their case': `c text not null check (c ~* '^(foo|bar)-[0-9a-f]{8}$')`,
  'no spaces and a length': `c text not null check (c !~ '\\s' and length(c) between 4 and 6)`,
  'a pattern of LIKE': `c varchar(20) not null check (c like 'SKU-%')`,
  'a pattern of SIMILAR TO': `c varchar(20) not null check (c similar to '(a|b)[0-9]+')`,
  'forty characters': `c text not null check (char_length(c) = 40)`,
  'a mail address': `c text not null check (c ~ '^[^@]+@[^@]+\\.[^@]+$')`,
  'a URL of letters': `c text not null check (c ~ '^https?://[a-z.]+$')`,
  'a colour': `c text not null check (c ~ '^#[0-9a-fA-F]{6}$')`,
  'a telephone number': `c text not null check (c ~ '^\\+[1-9]\\d{6,14}$')`,
  'a version': `c text not null check (c ~ '^v\\d+\\.\\d+\\.\\d+$' and length(c) <= 10)`,
  'a slug': `c text not null check (c ~ '^[a-z][a-z0-9-]*[a-z0-9]$' and c not like '%--%')`,
  'look-ahead': `c text not null check (c ~ '^(?=.*[a-z])(?=.*[0-9])[a-z0-9]{8,}$')`,
  'named classes': `c text not null check (c ~ '^[[:alpha:]_][[:alnum:]_]{0,62}$')`,
  'a prefix': `c text not null check (left(c, 2) = 'ab'), d text not null check (starts_with(d, 'arn:aws:'))`,
  'capitals only': `c text not null check (c = upper(c) and length(c) = 2)`,
  'a list or a pattern': `c text not null check (c in ('a', 'b') or c ~ '^x[0-9]{3}$')`,
  'digits within a range': `c text not null check (c::int between 10 and 20)`,
  'an object': `c jsonb not null check (jsonb_typeof(c) = 'object'), d json not null check (json_typeof(d) = 'array')`,
  'an object with keys': `c jsonb not null check (c ? 'kind' and c ?& array['a', 'b'])`,
  'an object of kinds': `c jsonb not null check (jsonb_typeof(c->'n') = 'number' and jsonb_typeof(c->'s') = 'string')`,
  'a value inside an object': `c jsonb not null check (c->>'type' in ('x', 'y')), d jsonb not null check (jsonb_array_length(d) between 2 and 3)`,
  'an array of a length': `c text[] not null check (array_length(c, 1) = 4), d int[] not null check (cardinality(d) between 1 and 3 and 5 = any(d))`,
  'an array of a list': `c text[] not null check (c <@ array['red', 'green', 'blue'] and array_length(c, 1) >= 2)`,
  'three in a row': `a int not null, b int not null, c int not null, check (a < b and b < c and c < 10)`,
  'times close together': `a timestamptz not null, b timestamptz not null, check (b > a and b < a + interval '1 day')`,
  'one of five': `a int, b int, c int, d int, e int, check (num_nonnulls(a, b, c, d, e) = 1)`,
  'a day of the week': `c date not null check (extract(dow from c) = 1), d date not null check (d = date_trunc('month', d)::date)`,
  'a range without an end': `c int4range not null check (not isempty(c) and lower(c) >= 0 and upper_inf(c))`,
  'large and small numbers': `c bigint not null check (c > 9999999999), d numeric(5,4) not null check (d between 0 and 1)`,
  'bytes of a length': `c bytea not null check (octet_length(c) = 32)`,
  'an address of the sixth version': `c inet not null check (family(c) = 6)`,
  'long and short spans': `c interval not null check (c > '30 days'::interval), d time not null check (d between '08:00' and '09:00')`,
}

describe('D8: empty tables whose CHECKs few values satisfy', () => {
  let server: Postgres
  const idOf = (i: number): string => `app.t${i}`
  const ids = Object.keys(TABLES).map((_, i) => idOf(i))
  before(async () => {
    server = await startPostgres()
    const creates = Object.values(TABLES).map(
      (columns, i) => `create table ${idOf(i)} (id serial primary key, ${columns})`,
    )
    await server.sql(`create schema app; ${creates.join('; ')};
      create table app.never (id serial primary key, n int not null check (n > 5 and n < 5));
      create table app.unlikely (id serial primary key, c text not null check (md5(c) = c))`)
  })
  after(() => server.stop())

  test('each is served, whether it is named or not, and discover says the same', async () => {
    const whole = await planOf(server.url(), { skill: 'db.insert_load', params: { rows_per_table: 20 } })
    const planned = whole.steps.map((step) => step.resource)
    const missing = ids.filter((id) => !planned.includes(id))
    assert.deepEqual(
      missing.map((id) => Object.keys(TABLES)[ids.indexOf(id)]),
      [],
    )
    assert.deepEqual(whole.skipped.map(({ resource, reason }) => `${resource}: ${reason}`).sort(), [
      'app.never: no value was found that satisfies CHECK never_n_check',
      'app.unlikely: no value was found that satisfies CHECK unlikely_c_check',
    ])
    const said = (await surveyOf(server.url())).skills.find(({ skill }) => skill === 'db.insert_load')
    assert.deepEqual(said?.served.map((one) => one.resource).sort(), [...planned].sort())
  })

  test('what is planned goes in, and comes out again', async () => {
    const empty = await snapshot(server.url())
    const rig = await openRig({
      skill: insertLoad,
      params: { tables: ids, rows_per_table: 20 },
      connect: (options) =>
        connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: ['app'] }, [insertLoad], options),
    })
    try {
      const counts = await rig.applyAll()
      for (const [i, { inEffect }] of counts.entries())
        assert.equal(inEffect, 20, (rig.steps[i]?.step as { id: string }).id)
      const mails = await server.sql(`select c from ${idOf(Object.keys(TABLES).indexOf('a mail address'))}`)
      for (const { c } of mails) assert.match(String(c), /\.invalid$/)
      await rig.undoAll()
    } finally {
      await rig.close()
    }
    const left = diff(empty, await snapshot(server.url())).filter((line) => !line.startsWith('session '))
    assert.deepEqual(left, [])
  })

  test('a unique column gets as many values as its pattern has', async () => {
    await server.sql(`create table app.codes (id serial primary key, code text not null unique check (code ~ '^[A-Z]{3}$'));
      create table app.keys (code varchar(8) primary key check (code ~ '^[0-9a-f]{8}$'))`)
    for (const table of ['codes', 'keys']) {
      const rig = await openRig({
        skill: insertLoad,
        params: { tables: [`app.${table}`], rows_per_table: 2_000 },
        connect: (options) =>
          connectPostgres(
            { connection_url: server.url(), db_type: 'postgres', schemas: ['app'] },
            [insertLoad],
            options,
          ),
      })
      try {
        const [seen] = await rig.applyAll()
        assert.equal(seen?.inEffect, 2_000)
        await rig.undoAll()
      } finally {
        await rig.close()
      }
      assert.deepEqual(await server.sql(`select from app.${table}`), [])
    }
  })
})
