/** D7: a migration in the soak renames, retypes, moves or drops what a step names; the undo finds it by its number. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, updateLoad } from '../labs/postgres-skills.ts'
import { messageOf } from '../../src/core/errors.ts'
import { runByHand } from '../fakes/by-hand.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const SHOP = [
  'drop table if exists customer, client cascade; drop schema if exists moved, shop cascade; create schema moved; create schema shop',
  'create table shop.customer (id serial primary key, name varchar(40) not null, n integer not null, note text)',
  `insert into shop.customer (name, n, note) select 'real ' || g, g, 'note ' || g from generate_series(1, 30) g`,
]

/** The change, and how the rows are read afterwards as they were before. */
const MIGRATIONS: Readonly<Record<string, [change: string, from?: string]>> = {
  'a column renamed': ['alter table shop.customer rename column name to full_name'],
  'the key column renamed': ['alter table shop.customer rename column id to customer_id'],
  'two columns that change names': [
    'alter table shop.customer rename note to x; alter table shop.customer rename name to note; alter table shop.customer rename x to name',
  ],
  'the key made wider': ['alter table shop.customer alter id type bigint'],
  'the key made a text': [
    'alter table shop.customer alter id drop default; alter table shop.customer alter id type text using id::text',
  ],
  'a number made wider and a text made longer': ['alter table shop.customer alter n type bigint, alter name type text'],
  'a number made a numeric with two digits': ['alter table shop.customer alter n type numeric(12, 2)'],
  'another schema': ['alter table shop.customer set schema moved', 'moved.customer'],
  'a schema renamed': ['drop schema moved; alter schema shop rename to moved', 'moved.customer'],
  'the key made anew': [
    'alter table shop.customer drop constraint customer_pkey; alter table shop.customer add primary key (id)',
  ],
}

describe('D7: a migration in the soak', () => {
  let server: Postgres
  const rigs: Rig[] = []
  before(async () => void (server = await startPostgres()))
  after(() => server.stop())
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })
  const open = async (skill: typeof insertLoad | typeof updateLoad, params: object): Promise<Rig> => {
    const rig = await openRig({
      ...{ skill, params },
      connect: (options) =>
        connectPostgres(
          { connection_url: server.url(), db_type: 'postgres', schemas: [] },
          [insertLoad, updateLoad],
          options,
        ),
    })
    rigs.push(rig)
    return rig
  }
  const run = async (sql: string): Promise<void> => {
    for (const one of sql.split('; ')) await server.sql(one)
  }
  const all = async (from: string): Promise<unknown> =>
    (await server.sql(`select to_jsonb(array_agg(r::text order by r::text)) as rows from ${from} as r`))[0]?.['rows']

  for (const [what, [change, from = 'shop.customer']] of Object.entries(MIGRATIONS)) {
    for (const [skill, params] of [
      [insertLoad, { tables: ['shop.customer'], rows_per_table: 40 }],
      [updateLoad, { tables: ['shop.customer'], rows: 20, columns: ['name', 'n'] }],
    ] as const) {
      test(`${skill.name} is undone after ${what}`, async () => {
        for (const sql of SHOP) await run(sql)
        await run(change)
        const right = await all(from)
        for (const sql of SHOP) await run(sql)
        const rig = await open(skill, params)
        await rig.applyAll()
        await run(change)
        assert.notDeepEqual(await all(from), right)
        await rig.undoAll()
        assert.deepEqual(await all(from), right)
        const seen = await rig.inspect(rig.steps[0]!)
        assert.deepEqual([seen.inEffect, seen.foreign], [0, 0])
      })
    }
  }

  test('a column that was dropped has nothing to be put back, and others are', async () => {
    for (const sql of SHOP) await run(sql)
    const rig = await open(updateLoad, { tables: ['shop.customer'], rows: 20, columns: ['name', 'n', 'note'] })
    await rig.applyAll()
    await run('alter table shop.customer drop column n')
    await rig.undoAll()
    const left = await server.sql(`select from shop.customer where name <> 'real ' || id or note <> 'note ' || id`)
    assert.equal(left.length, 0)
  })

  test('rows whose key was dropped are found by who wrote them', async () => {
    for (const sql of SHOP) await run(sql)
    const rig = await open(insertLoad, { tables: ['shop.customer'], rows_per_table: 40 })
    await rig.applyAll()
    await run('alter table shop.customer drop column id')
    await rig.undoAll()
    assert.equal((await server.sql('select from shop.customer')).length, 30)
    assert.deepEqual(await rig.inspect(rig.steps[0]!), { inEffect: 0, restored: 40, foreign: 0, names: [] })
  })

  for (const [what, [change, from = 'shop.customer']] of Object.entries(MIGRATIONS)) {
    for (const [skill, params] of [
      [insertLoad, { tables: ['shop.customer'], rows_per_table: 40 }],
      [updateLoad, { tables: ['shop.customer'], rows: 20, columns: ['name', 'note'] }],
    ] as const) {
      test(`the page to undo ${skill.name} by hand works after ${what}, or says what to write in it`, async () => {
        for (const sql of SHOP) await run(sql)
        await run(change)
        const right = await all(from)
        for (const sql of SHOP) await run(sql)
        const rig = await open(skill, params)
        await rig.applyAll()
        await run(change)
        for (const { step } of rig.steps) {
          const context = { mark: 'm', config: { connection_url: server.url() } }
          let { lines } = skill.byHand(step as never, context)
          let said = ''
          for (let tries = 0; tries < 3; tries++) {
            said = await runByHand(lines).catch((error: unknown) => messageOf(error))
            const wanted = [...said.matchAll(/write ((?:"[^"]+"\.?)+) for ((?:"[^"]+"\.?)+)/g)]
            if (wanted.length === 0) break
            // At once, as a person would: two columns may have changed names.
            const names = new Map(wanted.map(([, now = '', then = '']) => [then, now]))
            const any = new RegExp([...names.keys()].join('|').replaceAll('.', '\\.'), 'g')
            lines = lines.map((line) => line.replaceAll(any, (name) => names.get(name) ?? name))
          }
          if (/is of type text and no longer of integer/.test(said)) return
          assert.doesNotMatch(said, /exit [1-9]/)
        }
        assert.deepEqual(await all(from), right)
      })
    }
  }
})
