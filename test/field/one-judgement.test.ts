/** D18: `discover` offered tables that a run then refused, because a seed had happened on a value that satisfies their CHECK. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { RefusedError } from '../../src/core/errors.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { surveyOf } from './looking.ts'

/** Tables of one kind each, by name. Those with a CHECK that one random value in a few satisfies are the point. */
const TABLES: Record<string, string> = {
  three_capitals: `id serial primary key, code text check (code ~ '^[A-Z]{3}$')`,
  not_null: `id serial primary key, code text not null check (code ~ '^[A-Z]{3}$')`,
  mixed: `id serial primary key, code varchar(3) not null check (code ~ '^[A-Z]{2}[0-9]$')`,
  vowel: `id serial primary key, code varchar(4) not null check (code ~ '[aeiou][0-9]')`,
  digit_first: `id serial primary key, code varchar(5) not null check (code ~ '^[0-9][a-f]')`,
  postcode: `id serial primary key, zip varchar(5) not null check (zip ~ '^[0-9]{5}$')`,
  capitals: `id serial primary key, code varchar(3) not null unique check (code ~ '^[A-Z]{3}$')`,
  key_first: `code varchar(20) primary key check (code ~ '^[a-m]')`,
  half: `id serial primary key, n int not null check (n % 7 = 3)`,
  rare: `id serial primary key, n int not null check (n % 97 = 3)`,
  pair: `id serial primary key, a int not null, b int not null, check (a = b * 2)`,
  never: `id serial primary key, n int not null check (n > 5 and n < 5)`,
  hex: `id serial primary key, u uuid not null check (u::text ~ '^[0-4]')`,
  length: `id serial primary key, t text not null check (length(t) = 16)`,
  divides: `id serial primary key, n int not null check (100 / (n - 1) > 3)`,
}
const SEEDS = Array.from({ length: 8 }, (_, i) => `seed ${i}`)

describe('D18: discover and run judge alike', () => {
  let server: Postgres
  let rig: Rig | undefined
  before(async () => {
    server = await startPostgres()
    await server.sql(
      ['create schema app', ...Object.entries(TABLES).map(([name, sql]) => `create table app.${name} (${sql})`)].join(
        '; ',
      ),
    )
  })
  after(() => server.stop())
  afterEach(() => rig?.close())

  test('a CHECK with a regular expression, and other CHECKs that few values satisfy, have one answer whatever the seed', async () => {
    const survey = (await surveyOf(server.url())).skills.find(({ skill }) => skill === 'db.insert_load')
    const offered = survey?.served.map((one) => one.resource).sort()
    const refused = new Map(survey?.skipped.map(({ resource, reason }) => [resource, reason]))
    assert.ok(offered?.includes('app.postcode'))
    assert.match(refused.get('app.never') ?? '', /no value was found/)
    assert.match(refused.get('app.not_null') ?? 'no value was found', /no value was found/)
    assert.equal((offered?.length ?? 0) + refused.size, Object.keys(TABLES).length)

    rig = await openRig({
      skill: insertLoad,
      params: {},
      connect: (options) =>
        connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: ['app'] }, [insertLoad], options),
    })
    for (const seed of SEEDS) {
      const { steps } = await rig.plan({ rows_per_table: 5 }, { seed })
      assert.deepEqual([...new Set(steps.map((s) => s.resource))].sort(), offered, seed)
    }
    for (const [i, name] of Object.keys(TABLES).entries()) {
      const named = rig.plan({ tables: [`app.${name}`], rows_per_table: 5 }, { seed: SEEDS[i % SEEDS.length] ?? '' })
      const found = await named.then(
        ({ steps }) => steps.length > 0,
        (error: unknown) => {
          assert.ok(error instanceof RefusedError)
          return false
        },
      )
      assert.equal(found, offered?.includes(`app.${name}`), name)
    }
    // What is offered goes in, too.
    await rig.plan({ rows_per_table: 5 }, { seed: 'in' })
    for (const step of rig.steps) await rig.apply(step)
    await rig.undoAll()
    for (const name of Object.keys(TABLES)) assert.deepEqual(await server.sql(`select from app.${name}`), [], name)
  })
})
