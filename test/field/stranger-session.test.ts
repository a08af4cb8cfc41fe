/** A mark is a name that anybody can take: a stranger's session that has it is not ended, and keeps no undo waiting. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { markOf } from '../../src/core/skill.ts'
import { connectPostgres } from '../../src/targets/database/agent.ts'
import { tableLock } from '../../src/targets/database/skills/table_lock.ts'
import { openRig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

describe('strangers’ sessions', () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
    await server.sql('create table accounts (id int primary key); create role stranger login')
  })
  after(() => server.stop())

  test('a session of another role that has our mark is left alone by quiesce, undo and sweep, which are done all the same', async () => {
    const rig = await openRig({
      skill: tableLock,
      params: { tables: ['accounts'] },
      connect: (options) =>
        connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, [tableLock], options),
    })
    const name = markOf(rig.install, rig.run, 1)
    const stranger = new pg.Client({ connectionString: server.url('postgres', 'stranger'), application_name: name })
    await stranger.connect()
    try {
      await rig.applyAll()
      await rig.undoAll()
      assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
      assert.deepEqual(await rig.agent.sweep(rig.install, rig.signal), [])
      assert.equal((await stranger.query('select 1')).rowCount, 1)
    } finally {
      await stranger.end()
      await rig.close()
    }
  })
})
