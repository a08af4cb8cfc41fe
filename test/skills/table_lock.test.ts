/** db.table_lock on real servers: the lock is real, and it is gone however its holder ends. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { systemClock } from '../../src/core/clock.ts'
import { CodedError, StaleError } from '../../src/core/errors.ts'
import type { Plan } from '../../src/core/skill.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { postgres } from '../../src/targets/database/postgres/index.ts'
import { tableLock as anyTableLock, takenBy, waitsBehind } from '../../src/targets/database/skills/table_lock.ts'
import { namesakes } from '../contract/namesakes.ts'
import { openRig, skillContract } from '../contract/skill.ts'
import type { Rig, SkillCase } from '../contract/skill.ts'
import { debianPostgresMissing, startDebianPostgres } from '../labs/debian-postgres.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const tableLock = anyTableLock(postgres)

const MODES: readonly string[] = [
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
]

/** What the engine tells later entries of the run that this one has taken. */
function takenOf({ steps }: Plan<object>): Set<string> {
  return new Set(steps.flatMap(({ touches, takes = [] }) => [...touches, ...takes]))
}

describe('the parameters of db.table_lock', () => {
  const parse = (more: object) => tableLock.params.safeParse({ tables: ['a'], ...more })

  test('lock_mode is one of the eight modes however it is written', () => {
    assert.deepEqual(parse({}).data, { tables: ['a'], lock_mode: 'ACCESS EXCLUSIVE', wait: '5s' })
    for (const mode of MODES) {
      assert.equal(parse({ lock_mode: `  ${mode.toLowerCase().replace(' ', '   ')} mode` }).data?.lock_mode, mode)
    }
    assert.match(parse({ lock_mode: 'EXCLUSIV' }).error?.issues[0]?.message ?? '', /write one of ACCESS SHARE/)
  })

  test('at least one table is named, and wait is a duration', () => {
    assert.ok(!tableLock.params.safeParse({}).success)
    assert.ok(!parse({ tables: [] }).success)
    for (const wait of ['0s', '5', 'soon', ''])
      assert.match(parse({ wait }).error?.issues[0]?.message ?? '', /write 5s/)
  })
})

for (const { name, start, missing } of [
  { name: 'the server from npm', start: startPostgres, missing: undefined },
  { name: "Debian's server", start: startDebianPostgres, missing: debianPostgresMissing() },
]) {
  describe(`db.table_lock on ${name}`, { skip: missing ?? false }, () => {
    let server: Postgres
    const ending: (() => unknown)[] = []

    before(async () => {
      server = await start()
      await arrange()
    })
    const endAll = async (): Promise<void> => {
      for (const end of ending.splice(0).reverse()) await end()
    }
    beforeEach(endAll)
    after(async () => {
      await endAll()
      await server.stop()
    })

    const arrange = async (): Promise<void> => {
      await server.sql(`
        drop schema if exists "My Shop" cascade; drop table if exists accounts, orders, parts, base cascade;
        create schema "My Shop";
        create table accounts (id int primary key, name text); insert into accounts values (1, 'hunter2');
        create table orders (id int primary key);
        create table "My Shop"."select" (id int primary key);
        create view everyone as select * from accounts;
        create table parts (id int) partition by range (id);
        create table parts_1 partition of parts for values from (0) to (10) partition by range (id);
        create table parts_1_1 partition of parts_1 for values from (0) to (5);
        create table base (id int); create table heir () inherits (base)`)
    }
    const connectAs =
      (user?: string): SkillCase['connect'] =>
      (options) =>
        connectPostgres(
          { connection_url: server.url('postgres', user), db_type: 'postgres', schemas: [] },
          [tableLock],
          options,
        )
    const open = async (params: object, more: { user?: string; run?: string } = {}): Promise<Rig> => {
      const rig = await openRig({ skill: tableLock, params, connect: connectAs(more.user) }, more.run)
      ending.push(() => rig.close())
      return rig
    }
    /** Locks on our tables, and who is there besides the control connections. */
    const held = async (): Promise<unknown[]> =>
      server.sql(`
        select c.relname::text as table, l.mode, l.granted, a.application_name as who
          from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a using (pid)
         where c.relnamespace in ('public'::regnamespace, '"My Shop"'::regnamespace) and c.relkind in ('r', 'p')
        union all select null, null, null, application_name from pg_stat_activity
         where application_name like 'chaos-%' and application_name not like '%-0' order by 1, 2, 4`)
    /** Who else wants something from the table: an application's statement that gives up soon. */
    const tryTo = async (sql: string): Promise<'done' | 'blocked'> => {
      const client = new pg.Client({ connectionString: server.url() })
      await client.connect()
      try {
        await client.query(`set lock_timeout = '100ms'`)
        await client.query('begin')
        await client.query(sql)
        return 'done'
      } catch (error) {
        assert.equal((error as { code?: string }).code, '55P03', String(error))
        return 'blocked'
      } finally {
        await client.end()
      }
    }
    /** An application's session that holds a lock until the end of the test. */
    const occupy = async (sql: string, { user = 'postgres', name = 'billing' } = {}): Promise<void> => {
      const client = new pg.Client({ connectionString: server.url('postgres', user), application_name: name })
      client.on('error', () => undefined)
      await client.connect()
      ending.push(() => client.end())
      await client.query('begin')
      await client.query(sql)
    }

    skillContract({
      name: 'two tables, one with a name that must be quoted',
      skill: tableLock,
      params: { tables: ['"My Shop"."select"', 'accounts'] },
      connect: connectAs(),
      config: () => ({ connection_url: server.url() }),
      arrange,
      snapshot: async () => ({ held: await held(), rows: await server.sql('select * from accounts') }),
      effect: async () => [await tryTo('select from accounts'), await tryTo('select from "My Shop"."select"')],
      elsewhere: () => ({ connection_url: server.url(), db_type: 'postgres' }),
      secrets: ['hunter2'],
      strangers: namesakes(() => server),
      replaced: {
        async change(steps) {
          // An administrator ends our session, and somebody else's has its name, and locks the tables made anew.
          await server.sql(
            `select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = '${steps[0]?.mark ?? ''}'`,
          )
          await arrange()
          await server.sql(
            `drop role if exists stranger; create role stranger login; grant all on accounts, orders to stranger`,
          )
          await occupy('lock table accounts in share mode', { user: 'stranger', name: steps[0]?.mark ?? '' })
        },
        end: async () => {
          await endAll()
          await server.sql('drop owned by stranger; drop role stranger')
        },
      },
    })

    describe('the lock', () => {
      test('is the one that was asked for, and shuts out exactly what it should', async () => {
        for (const [i, lock_mode] of MODES.entries()) {
          const rig = await open({ tables: ['accounts'], lock_mode })
          await rig.applyAll()
          assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 1)
          const mode = `${lock_mode.toLowerCase().replaceAll(/(^| )(\w)/g, (_, __, c: string) => c.toUpperCase())}Lock`
          assert.ok(
            (await held()).some((h) => (h as { mode: string }).mode === mode),
            mode,
          )
          assert.equal(await tryTo('select * from accounts'), i < 7 ? 'done' : 'blocked', lock_mode)
          assert.equal(await tryTo(`update accounts set name = 'x'`), i < 4 ? 'done' : 'blocked', lock_mode)
          assert.equal(await tryTo('alter table accounts add column x int'), 'blocked', lock_mode)
          await rig.undoAll()
          assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
          assert.deepEqual(await held(), [])
          await rig.close()
        }
      })

      test('of a partitioned table covers what is below, and says so', async () => {
        const rig = await open({ tables: ['parts', 'base'] })
        const { notes = [], steps } = await rig.plan()
        assert.match(notes.join('\n'), /tables below: public.heir, public.parts_1, public.parts_1_1$/m)
        assert.ok(steps[0]?.touches.includes('public.parts_1_1'))
        await rig.applyAll()
        assert.equal(await tryTo('select * from parts_1_1'), 'blocked')
        assert.equal(await tryTo('select * from heir'), 'blocked')
        await rig.undoAll()
        assert.equal(await tryTo('select * from parts_1_1'), 'done')
      })

      test('that does not come in time names who has it, and nobody is left waiting', async () => {
        await occupy('select * from orders')
        const rig = await open({ tables: ['accounts', 'orders'], wait: '300ms' })
        await rig.plan()
        await assert.rejects(rig.apply(rig.steps[0]!), (error: unknown) => {
          assert.ok(error instanceof CodedError)
          assert.equal(error.code, 'STEP_FAILED')
          assert.match(error.message, /^billing \(pid \d+\) did not let us have ACCESS EXCLUSIVE .*within 300ms/)
          assert.doesNotMatch(error.message, /select \*/)
          return true
        })
        assert.equal(await tryTo('select * from accounts'), 'done')
        assert.equal(await tryTo('select * from orders'), 'done')
        await rig.undoAll()
        assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
      })

      test('that is still waited for goes away with the quiesce', async () => {
        await occupy('select * from orders')
        const rig = await open({ tables: ['orders'], wait: '30s' })
        await rig.plan()
        const waiting = rig.apply(rig.steps[0]!).catch((error: unknown) => error)
        await until(async () => (await tryTo('select * from orders')) === 'blocked')
        await rig.agent.quiesce(rig.run, rig.signal)
        assert.equal(await tryTo('select * from orders'), 'done')
        assert.ok((await waiting) instanceof Error)
      })

      test('is the same for two runs that name the tables in another order: neither waits for ever', async () => {
        const [one, two] = [
          await open({ tables: ['accounts', 'orders'], wait: '400ms' }),
          await open({ tables: ['orders', 'accounts'], wait: '400ms' }),
        ]
        await one.plan()
        await two.plan()
        const ends = await Promise.allSettled([one.apply(one.steps[0]!), two.apply(two.steps[0]!)])
        assert.deepEqual(ends.map((end) => end.status).sort(), ['fulfilled', 'rejected'])
        const failed = ends.find((end) => end.status === 'rejected')
        assert.doesNotMatch(String(failed?.reason), /deadlock/)
        assert.match(String(failed?.reason), /chaos-contract-.*-1 \(pid \d+\) did not let us/)
        await one.undoAll()
        await two.undoAll()
        assert.deepEqual(await held(), [])
      })

      test('on a table that is gone since the plan is left out', async () => {
        const rig = await open({ tables: ['orders'] })
        await rig.plan()
        await server.sql('drop table orders')
        try {
          await assert.rejects(rig.apply(rig.steps[0]!), StaleError)
        } finally {
          await arrange()
        }
      })
    })

    describe('when its holder', () => {
      const hold = async (run: string, heldMs: number): Promise<ChildProcess> => {
        const holder = fileURLToPath(new URL('../fakes/lock-holder.ts', import.meta.url))
        const child = spawn(
          process.execPath,
          ['--import', './scripts/ts.mjs', holder, server.url(), run, 'public.accounts', String(heldMs)],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        )
        ending.push(() => child.kill('SIGKILL'))
        const [said] = (await once(child.stdout, 'data')) as [Buffer]
        assert.equal(said.toString(), 'held\n')
        assert.equal(await tryTo('select * from accounts'), 'blocked')
        return child
      }
      const free = async (): Promise<boolean> => (await tryTo('select * from accounts')) === 'done'

      test('is frozen, another process of the run takes it away', async () => {
        const child = await hold('frozen', 60_000)
        child.kill('SIGSTOP')
        const rig = await open({ tables: ['accounts'] }, { run: 'frozen' })
        assert.ok(!(await free()))
        await rig.agent.quiesce('frozen', rig.signal)
        assert.ok(await free())
      })
    })

    describe('plan', () => {
      const code = (wanted: string, says: RegExp) => (error: unknown) => {
        assert.ok(error instanceof CodedError, String(error))
        assert.equal(error.code, wanted)
        assert.match(error.message, says)
        return true
      }

      test('refuses what is not there, no table, or the server itself', async () => {
        const plan = async (table: string) => (await open({ tables: [table] })).plan()
        await assert.rejects(plan('acounts'), code('CONFIG_NOT_ON_TARGET', /accounts/))
        await assert.rejects(plan('everyone'), code('REFUSED_UNSUITABLE', /view/))
        await assert.rejects(plan('pg_catalog.pg_class'), code('REFUSED_UNSUITABLE', /server itself/))
      })

      test('holds all tables in one step and tells of the queue behind the wait', async () => {
        const { steps, notes = [] } = await (await open({ tables: ['orders', 'accounts'], wait: '2s' })).plan()
        assert.equal(steps.length, 1)
        assert.equal(steps[0]?.resource, 'public.accounts')
        assert.ok(['public.accounts', 'public.orders'].every((id) => steps[0]!.touches.includes(id)))
        assert.equal(steps[0].describe, 'hold ACCESS EXCLUSIVE on public.accounts, public.orders')
        assert.match(notes.join('\n'), /at most 2s.*waits behind/)
      })

      test('leaves out a table that an earlier entry of the run locks', async () => {
        const rig = await open({ tables: ['accounts', 'orders'], lock_mode: 'SHARE' })
        const first = await rig.plan({ tables: ['orders'], lock_mode: 'SHARE', wait: '5s' })
        const second = await rig.plan(undefined, { taken: takenOf(first) })
        assert.deepEqual(
          second.skipped?.map((s) => s.resource),
          ['public.orders'],
        )
        assert.deepEqual(
          (second.steps[0]?.step as { tables: { id: string }[] }).tables.map((t) => t.id),
          ['public.accounts'],
        )
        // A row skill's use of the table is no lock.
        assert.deepEqual((await rig.plan(undefined, { taken: new Set(['public.orders']) })).skipped, [])
      })

      test('refuses a lock that would wait behind one of the same run, exactly where the server would keep it waiting', async () => {
        const [one, two] = [await open({}), await open({})]
        for (const [i, held] of MODES.entries()) {
          const first = await one.plan({ tables: ['accounts'], lock_mode: held, wait: '5s' })
          await one.apply(one.steps[0]!)
          for (const wanted of MODES.slice(i)) {
            const granted = await tryTo(`lock table accounts in ${wanted} mode`)
            const params = { tables: ['accounts'], lock_mode: wanted, wait: '5s' }
            const planned = two.plan(params, { taken: takenOf(first) })
            // The other way round it is the same.
            const waits = waitsBehind(postgres.locks, held, 'a', new Set([takenBy(wanted, 'a')])) !== undefined
            assert.equal(waits, granted === 'blocked', `${held} after ${wanted}`)
            if (granted === 'done') assert.deepEqual((await planned).steps, [], `${wanted} after ${held}`)
            else
              await assert.rejects(
                planned,
                code(
                  'CONFIG_NOT_ON_TARGET',
                  new RegExp(
                    `${wanted} on public.accounts: .*holds ${held} on public.accounts .*name the tables in one entry`,
                  ),
                ),
              )
          }
          await one.undoAll()
        }
      })

      test('refuses a lock on a table when an earlier entry of the run locks a table below it', async () => {
        const rig = await open({})
        const first = await rig.plan({ tables: ['parts_1_1'], lock_mode: 'SHARE', wait: '5s' })
        const above = rig.plan({ tables: ['parts'], lock_mode: 'EXCLUSIVE', wait: '5s' }, { taken: takenOf(first) })
        await assert.rejects(
          above,
          code('CONFIG_NOT_ON_TARGET', /on public\.parts and what is below it: .*SHARE on public\.parts_1_1/),
        )
        const beside = await rig.plan(
          { tables: ['base'], lock_mode: 'EXCLUSIVE', wait: '5s' },
          { taken: takenOf(first) },
        )
        assert.equal(beside.steps.length, 1)
      })

      test('asks for a privilege exactly where the server does, and for one that is enough', async () => {
        const [{ v }] = (await server.sql(`select current_setting('server_version_num')::int as v`)) as [{ v: number }]
        const privileges = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES']
        if (v >= 170_000) privileges.push('MAINTAIN')
        await server.sql('create role locker login; grant usage on schema public to locker')
        const asLocker = new pg.Client({ connectionString: server.url('postgres', 'locker') })
        await asLocker.connect()
        const rig = await open({}, { user: 'locker' })
        const lets = (lock_mode: string): Promise<boolean> =>
          asLocker.query('begin').then(() =>
            asLocker
              .query(`lock table accounts in ${lock_mode} mode`)
              .then(
                () => true,
                () => false,
              )
              .finally(() => asLocker.query('rollback')),
          )
        try {
          for (const lock_mode of MODES) {
            const params = { tables: ['accounts'], lock_mode, wait: '5s' }
            for (const privilege of ['', ...privileges]) {
              if (privilege !== '') await server.sql(`grant ${privilege} on accounts to locker`)
              const planned = await rig.plan(params).then(
                () => true,
                (error: unknown) => code('TARGET_PRIVILEGE', /GRANT/)(error) && false,
              )
              assert.equal(planned, await lets(lock_mode), `${lock_mode} with ${privilege}`)
              await server.sql('revoke all on accounts from locker')
            }
            const error = await rig.plan(params).catch((e: unknown) => e as Error)
            assert.ok(error instanceof Error)
            const grant = error.message.split('\n').slice(1).join('\n')
            assert.match(grant, /^GRANT \w+ ON "public"."accounts" TO "locker"; -- in database "postgres"$/)
            await server.sql(grant)
            assert.ok(await lets(lock_mode), grant)
            await server.sql('revoke all on accounts from locker')
          }
        } finally {
          await asLocker.end()
          await endAll()
          await server.sql('drop owned by locker; drop role locker')
        }
      })
    })
  })
}

async function until(done: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 200; n++) {
    if (await done()) return
    await systemClock.sleep(20)
  }
  assert.fail('it did not come about in time')
}
