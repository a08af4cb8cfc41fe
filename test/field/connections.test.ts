/** D13 and D14: what a run needs of connections and of grants is said before anything is touched. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RefusedError, TargetError } from '../../src/core/errors.ts'
import { systemClock } from '../../src/core/clock.ts'
import { database } from '../../src/targets/database/index.ts'
import { connectionsNeeded } from '../../src/targets/database/connections.ts'
import { insertLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { planOf } from './looking.ts'

describe('connections (D13)', () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
    await server.sql(`create role clerk login; create table t (id bigserial primary key, name text not null);
      create table u (id bigserial primary key, name text not null);
      grant usage on schema public to clerk; grant select, insert, update, delete on t, u to clerk;
      grant usage on all sequences in schema public to clerk`)
  })
  after(() => server.stop())

  const load = { skill: 'db.insert_load', params: { tables: ['public.t'], rows_per_table: 3 } }
  const lock = (table: string) => ({ skill: 'db.table_lock', params: { tables: [table], lock_mode: 'ROW SHARE' } })
  const url = (): string => server.url('postgres', 'clerk')
  const limit = (n: number) => server.sql(`alter role clerk connection limit ${n}`)
  const refused = (says: RegExp) => (error: unknown) => {
    assert.ok(error instanceof RefusedError, String(error))
    assert.match(error.message, says)
    return true
  }

  test('a role with too low a CONNECTION LIMIT is told how many a run needs, before anything', async () => {
    for (const n of [1, 2]) {
      await limit(n)
      const says = new RegExp(`needs 3 connections at once, and role clerk \\(CONNECTION LIMIT ${n}\\) has ${n} left`)
      await assert.rejects(planOf(url(), load), refused(says))
    }
    await limit(0)
    await assert.rejects(planOf(url(), load), (error: unknown) => {
      assert.ok(error instanceof TargetError && /a run needs 3 at once/.test(error.message), String(error))
      return true
    })
  })

  test('with exactly so many it plans, says so, is applied and undone', async () => {
    await limit(3)
    const whole = await planOf(url(), load)
    assert.match(whole.notes.join('\n'), /needs 3 connections at once; role clerk .* leaves 0 to others/)
    const rig = await openRig({
      ...{ skill: insertLoad, params: load.params },
      connect: (options) => database.connect({ connection_url: url(), db_type: 'postgres', schemas: [] }, options),
    })
    try {
      const [effect] = await rig.applyAll()
      assert.equal(effect?.inEffect, 3)
      await rig.undoAll()
      assert.deepEqual(await server.sql('select * from t'), [])
    } finally {
      await rig.close()
    }
    await limit(-1)
    assert.doesNotMatch((await planOf(url(), load)).notes.join('\n'), /connections/)
  })

  test('each lock that is held needs one of its own', async () => {
    await limit(3)
    await planOf(url(), lock('public.t'))
    await assert.rejects(planOf(url(), lock('public.t'), lock('public.u')), refused(/needs 4 connections/))
    await limit(-1)
  })

  test('the limit of the database and that of the server count as well, and those of others do not help', async () => {
    await limit(-1)
    await server.sql('alter database postgres connection limit 2')
    try {
      await assert.rejects(planOf(url(), load), refused(/database postgres \(CONNECTION LIMIT 2\)/))
    } finally {
      await server.sql('alter database postgres connection limit -1')
    }
    const small = await startPostgres({
      settings: {
        max_connections: '6',
        superuser_reserved_connections: '3',
        max_wal_senders: '0',
        autovacuum_worker_slots: '4',
      },
    }).catch(() => undefined)
    if (small === undefined) return
    try {
      await small.sql(
        'create role clerk login; create table t (id bigserial primary key); grant all on t, t_id_seq to clerk',
      )
      const signal = new AbortController().signal
      const other = await database.connect(
        { connection_url: small.url('postgres', 'clerk'), db_type: 'postgres', schemas: [] },
        { install: 'other', run: 'r2', clock: systemClock, signal },
      )
      try {
        await assert.rejects(
          planOf(small.url('postgres', 'clerk'), load),
          refused(/the server \(max_connections 6, 3 of them reserved\) has 2 left for it: others use 1/),
        )
      } finally {
        await other.close()
      }
    } finally {
      await small.stop()
    }
  })

  test('are counted at the busiest moment', () => {
    assert.equal(connectionsNeeded({ held: 0, atOnce: 1, serverWide: false }), 3)
    assert.equal(connectionsNeeded({ held: 3, atOnce: 1, serverWide: false }), 5)
    assert.equal(connectionsNeeded({ held: 1, atOnce: 4, serverWide: true }), 7)
  })
})

describe('GRANT lines (D14)', () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
    await server.sql('create role clerk login')
    await server.sql('create database "Shop Two"')
    await server.sql('create schema s; create table s.t (id bigserial primary key, name text)', 'Shop Two')
  })
  after(() => server.stop())

  const errorOf = async (entry: Parameters<typeof planOf>[1]): Promise<TargetError> => {
    const error = await planOf(server.url('Shop Two', 'clerk'), entry).catch((e: unknown) => e)
    assert.ok(error instanceof TargetError, String(error))
    return error
  }

  test('name the database that they count in, each of them, and run there as they stand', async () => {
    const entry = { skill: 'db.insert_load', params: { tables: ['s.t'], rows_per_table: 3 } }
    for (let round = 0; round < 4; round++) {
      const error = await errorOf(entry).catch(() => undefined)
      if (!error) break
      assert.ok(error.message.includes(error.fix!), error.message)
      for (const line of error.fix!.split('\n')) assert.match(line, /^GRANT .*; -- in database "Shop Two"$/)
      await server.sql(error.fix!, 'Shop Two')
    }
    assert.equal((await planOf(server.url('Shop Two', 'clerk'), entry)).steps.length, 1)
  })

  test('for functions of pg_catalog name it too; settings are granted for the whole server', async () => {
    if (Number((await server.sql('show server_version_num'))[0]!['server_version_num']) < 150_000) return
    const error = await errorOf({
      skill: 'db.config_change',
      params: { changes: [{ param: 'work_mem', value: '1MB' }] },
    })
    const lines = error.fix!.split('\n')
    assert.ok(lines.includes('GRANT ALTER SYSTEM ON PARAMETER "work_mem" TO "clerk";'), error.fix)
    assert.ok(
      lines.includes('GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO "clerk"; -- in database "Shop Two"'),
      error.fix,
    )
  })
})
