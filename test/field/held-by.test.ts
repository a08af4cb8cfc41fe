/** Field case D15: what keeps an undo, or an apply, from its rows is named. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, tableLock, updateLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

let server: Postgres
before(async () => {
  server = await startPostgres({ settings: { max_prepared_transactions: '5' } })
  await server.sql(`create table t (id serial primary key, name text not null);
    insert into t (name) select 'name ' || g from generate_series(1, 20) g`)
})
after(() => server.stop())

const open = (skill: typeof insertLoad | typeof updateLoad | typeof tableLock, params: object): Promise<Rig> =>
  openRig({
    skill,
    params,
    connect: (options) =>
      connectPostgres(
        { connection_url: server.url(), db_type: 'postgres', schemas: [] },
        [insertLoad, updateLoad, tableLock],
        options,
      ),
  })

describe('D15: "canceling statement due to lock timeout" named nobody', () => {
  test('a forgotten prepared transaction holds our rows: its gid and user', async () => {
    const rig = await open(insertLoad, { rows_per_table: 5, tables: ['t'] })
    try {
      await rig.applyAll()
      await server.sql(`begin; update t set name = name where id > 20; prepare transaction 'forgotten ''one'''`)
      await assert.rejects(
        rig.undoAll(),
        /held by prepared transaction 'forgotten ''one''' of user postgres, prepared 20/,
      )
      await server.sql(`rollback prepared 'forgotten ''one'''`)
      await rig.undoAll()
      assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
    } finally {
      await rig.close()
    }
  })

  test('a session holds our rows: its application and pid', async () => {
    const rig = await open(updateLoad, { rows: 5, tables: ['t'] })
    const other = new pg.Client({ connectionString: server.url() })
    await other.connect()
    try {
      await rig.applyAll()
      await other.query(`set application_name = 'billing'; begin; select * from t for update`)
      await assert.rejects(rig.undoAll(), /held by billing \(pid \d+\)/)
      await other.query('rollback')
      await rig.undoAll()
    } finally {
      await other.end()
      await rig.close()
    }
  })

  test('an apply, and a lock, that are kept waiting', async () => {
    await server.sql(`begin; lock table t; prepare transaction 'migration'`)
    try {
      for (const [skill, params] of [
        [insertLoad, { rows_per_table: 5, tables: ['t'] }],
        [tableLock, { tables: ['t'], wait: '2s' }],
      ] as const) {
        const rig = await open(skill, params)
        try {
          await server.sql(`rollback prepared 'migration'`)
          await rig.plan()
          await server.sql(`begin; lock table t; prepare transaction 'migration'`)
          await assert.rejects(rig.apply(rig.steps[0]!), /prepared transaction 'migration' of user postgres/)
        } finally {
          await rig.close()
        }
      }
    } finally {
      await server.sql(`rollback prepared 'migration'`)
    }
  })
})
