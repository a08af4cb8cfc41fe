/** What is found on a database, and which table a name in params means. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ConfigError, RefusedError } from '../../../src/core/errors.ts'
import type { Resource } from '../../../src/core/skill.ts'
import { discover } from '../../../src/targets/database/postgres/discover.ts'
import { PostgresClient } from '../../../src/targets/database/postgres/client.ts'
import { postgres } from '../../../src/targets/database/postgres/index.ts'
import { resolveTables, splitName } from '../../../src/targets/database/rows/names.ts'
import { startPostgres } from '../../labs/embedded-postgres.ts'
import type { Postgres } from '../../labs/embedded-postgres.ts'

describe('discovery of a PostgreSQL database', () => {
  let server: Postgres
  let client: PostgresClient
  let all: Resource[]
  const signal = AbortSignal.timeout(60_000)

  before(async () => {
    server = await startPostgres()
    await server.sql(`create table users (id int); insert into users select generate_series(1, 1200); analyze users;
      create schema sales; create table sales.users (id int); create table sales.orders (id int);
      create schema "My Schema"; create table "My Schema"."select" (id int); create table "My Schema"."a.b" ("x" int);
      create table "Upper" (id int); create view a_view as select 1 as one; create materialized view sales.a_matview as select 1 as one;
      create temporary table passing (id int); create sequence a_sequence;
      create table parted (id int) partition by range (id); create table parted_1 partition of parted for values from (1) to (9)`)
    await server.sql(`alter role postgres set search_path = '$user', public, sales`)
    client = await PostgresClient.connect({ connectionUrl: server.url(), mark: 'chaos-t-t-0', signal })
    all = (await discover(client, [], signal)).resources
  })
  after(async () => {
    await client.close()
    await server.stop()
  })

  const resolve = (...names: string[]) => resolveTables(postgres.catalog, client, all, names)
  const idsOf = async (...names: string[]) => (await resolve(...names)).map((t) => t.id)

  test('finds the tables of all schemas that are the user’s, quoted as SQL would need it, and nothing else', () => {
    assert.deepEqual(
      all.map(({ id, name, kind }) => ({ id, name, kind })),
      [
        ['"My Schema"."a.b"', 'a.b'],
        ['"My Schema"."select"', 'select'],
        ['public."Upper"', 'Upper'],
        ['public.parted', 'parted'],
        ['public.parted_1', 'parted_1'],
        ['public.users', 'users'],
        ['sales.orders', 'orders'],
        ['sales.users', 'users'],
      ].map(([id, name]) => ({ id, name, kind: 'table' })),
    )
    assert.equal(all.find((r) => r.id === 'public.users')?.detail, '1,200 rows, 48 kB')
  })

  test('keeps to the schemas it is given, and says which of them are not there', async () => {
    const found = await discover(client, ['sales'], signal)
    assert.deepEqual(
      found.resources.map((r) => r.id),
      ['sales.orders', 'sales.users'],
    )
    await assert.rejects(discover(client, ['sales', 'slaes'], signal), (error) => {
      assert.ok(error instanceof ConfigError && error.code === 'CONFIG_NOT_ON_TARGET')
      assert.match(
        error.message,
        /target_config\.schemas\[1\]: there is no schema "slaes".*there is My Schema, public, sales/,
      )
      return true
    })
  })

  test('tells version, size and the sessions of others', async () => {
    const { summary } = await discover(client, [], signal)
    assert.match(
      summary,
      /^PostgreSQL \d+\.\d+.*, database postgres \([\d.]+ MB\), \d+ other sessions?; our role postgres is a superuser: /,
    )
  })

  test('a name with a schema is exact, quoted or not', async () => {
    assert.deepEqual(await idsOf('public.users', 'sales.users', '"sales"."users"'), ['public.users', 'sales.users'])
    assert.deepEqual(await idsOf('"My Schema"."select"', 'My Schema.select'), ['"My Schema"."select"'])
    assert.deepEqual(await idsOf('My Schema."a.b"'), ['"My Schema"."a.b"'])
    assert.deepEqual(await idsOf('"Upper"', 'Upper'), ['public."Upper"'])
  })

  test('a bare name is looked up along the search path, and must mean one table', async () => {
    assert.deepEqual(await idsOf('orders'), ['sales.orders'])
    await assert.rejects(resolve('users'), (error) => {
      assert.ok(error instanceof ConfigError && error.code === 'CONFIG_NOT_ON_TARGET')
      assert.match(error.message, /params\.tables\[0\]: "users" is ambiguous: write public\.users or sales\.users/)
      return true
    })
  })

  test('names that are not there are all reported at once, with what may have been meant', async () => {
    await assert.rejects(resolve('ordesr', 'upper', 'select', 'sales.nothing', '"broken'), (error) => {
      assert.ok(error instanceof ConfigError)
      assert.deepEqual(
        error.problems.map((p) => p.message),
        [
          'there is no table "ordesr" on the target; did you mean sales.orders?',
          'there is no table "upper" on the target; did you mean public."Upper"?',
          'there is no table "select" on the target; did you mean "My Schema"."select"?',
          'there is no table "sales.nothing" on the target',
          'there is no table "\\"broken" on the target',
        ],
      )
      return true
    })
  })

  test('a view, a materialized view or a sequence is refused for what it is', async () => {
    for (const [name, what] of [
      ['a_view', /a_view is a view/],
      ['sales.a_matview', /is a materialized view/],
      ['a_sequence', /is a sequence/],
    ] as const) {
      await assert.rejects(resolve(name), (error) => {
        assert.ok(error instanceof RefusedError && error.code === 'REFUSED_UNSUITABLE')
        assert.match(error.message, what)
        return true
      })
    }
  })
})

test('names are split at dots outside quotes', () => {
  assert.deepEqual(splitName('a.b'), ['a', 'b'])
  assert.deepEqual(splitName('"a.b"."c ""d"""'), ['a.b', 'c "d"'])
  assert.deepEqual(splitName('select'), ['select'])
  for (const broken of ['"a', 'a.', '.a', 'a."b', '']) assert.notEqual(splitName(broken)?.length, 2, broken)
})
