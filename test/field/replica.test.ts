/** D16: on a read replica nothing is offered that only fails when it is applied. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { RefusedError } from '../../src/core/errors.ts'
import { database } from '../../src/targets/database/index.ts'
import { configChange, tableLock } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { planOf, surveyOf } from './looking.ts'

describe('a read replica (D16)', () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
    await server.sql(
      `create table t (id bigserial primary key, name text not null); insert into t (name) values ('a'); analyze`,
    )
    // It waits for more WAL, for ever, and serves readers meanwhile.
    writeFileSync(join(server.dataDir, 'standby.signal'), '')
    await server.restart()
    assert.deepEqual(await server.sql('select pg_is_in_recovery() as yes'), [{ yes: true }])
  })
  after(() => server.stop())

  const replica = (error: unknown): boolean => {
    assert.ok(error instanceof RefusedError && error.code === 'REFUSED_UNSUITABLE', String(error))
    assert.match(error.message, /read replica .*point at its primary/)
    assert.doesNotMatch(error.message, /\n/)
    return true
  }

  test('refuses skills that write in plan, with one line', async () => {
    await assert.rejects(planOf(server.url(), { skill: 'db.insert_load', params: { tables: ['t'] } }), replica)
    await assert.rejects(planOf(server.url(), { skill: 'db.insert_load' }), replica)
    await assert.rejects(planOf(server.url(), { skill: 'db.update_load' }), replica)
    for (const lock_mode of ['ACCESS EXCLUSIVE', 'SHARE', 'SHARE UPDATE EXCLUSIVE']) {
      await assert.rejects(
        planOf(server.url(), { skill: 'db.table_lock', params: { tables: ['t'], lock_mode } }),
        replica,
      )
    }
  })

  test('is offered only what works there, by discover and init', async () => {
    const survey = await surveyOf(server.url())
    assert.match(survey.summary, /read replica/)
    const offered = survey.skills.filter((s) => s.served.length > 0).map((s) => s.skill)
    assert.deepEqual(offered, ['db.config_change'])
    for (const { skill, params } of database.suggest?.(survey) ?? []) {
      assert.equal(params.length > 0, skill === 'db.config_change', skill)
    }
  })

  test('has settings changed and put back', async () => {
    const rig = await openRig({
      ...{ skill: configChange, params: { changes: [{ param: 'work_mem', value: '1MB' }] } },
      connect: (options) =>
        database.connect({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, options),
    })
    try {
      const [effect] = await rig.applyAll()
      assert.equal(effect?.inEffect, 1)
      await rig.undoAll()
      assert.deepEqual(await server.sql('show work_mem'), [{ work_mem: '4MB' }])
    } finally {
      await rig.close()
    }
  })

  test('has the weak locks that a replica allows, held and let go', async () => {
    for (const lock_mode of ['ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE']) {
      const rig = await openRig({
        ...{ skill: tableLock, params: { tables: ['t'], lock_mode } },
        connect: (options) =>
          database.connect({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, options),
      })
      try {
        const [effect] = await rig.applyAll()
        assert.equal(effect?.inEffect, 1, lock_mode)
        await rig.undoAll()
        assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
      } finally {
        await rig.close()
      }
    }
  })
})
