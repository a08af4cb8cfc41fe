/** F2: a mark is a name that anybody can take, with our own role too: a stranger's session that has it is not ended, and keeps no undo waiting. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { markOf, runMark } from '../../src/core/skill.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, tableLock } from '../labs/postgres-skills.ts'
import { namesakes } from '../contract/namesakes.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { runByHand } from '../fakes/by-hand.ts'
import { fieldServer } from './rigs.ts'

describe('strangers’ sessions', () => {
  const field = fieldServer()
  const strangers = namesakes(() => field.server)
  const locking = (): Promise<Rig> => field.open(tableLock, { tables: ['accounts'] })
  const named = (rig: Rig): string[] => [0, 1, 7].map((step) => markOf(rig.install, rig.run, step))

  /** Until somebody waits for a lock on the table. */
  const untilWaiting = async (): Promise<void> => {
    const waiting = `select from pg_locks where relation = 'accounts'::regclass and not granted`
    for (let n = 0; (await field.server.sql(waiting)).length === 0; n++) {
      assert.ok(n < 1_000, 'nobody waits')
      await sleep(10)
    }
  }

  beforeEach(() =>
    field.each(['drop table if exists accounts', 'create table accounts (id serial primary key, name text not null)']),
  )
  afterEach(() => strangers.end())

  test('a session of another role that has our mark, or of our own, is left alone by quiesce, undo and sweep, which are done all the same', async () => {
    const rig = await locking()
    await rig.applyAll()
    await strangers.come(named(rig))
    const held = (): Promise<unknown[]> =>
      field.server.sql(`select from pg_locks where relation = 'accounts'::regclass`)
    assert.equal((await held()).length, 1)
    await rig.agent.quiesce(rig.run, rig.signal)
    assert.equal((await held()).length, 0, 'ours was ended, with nothing but the quiesce')
    await rig.undoAll()
    assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
    assert.deepEqual(await rig.agent.sweep(rig.install, rig.signal), [])
    await strangers.untouched()
  })

  test('each is named once by a quiesce, with its pid and role', async () => {
    const rig = await locking()
    await rig.applyAll()
    const name = markOf(rig.install, rig.run, 1)
    await strangers.come([name])
    const told: string[] = []
    await rig.agent.quiesce(rig.run, rig.signal, (words) => void told.push(words))
    assert.equal(told.length, 2, told.join('\n'))
    for (const role of ['postgres', 'namesake']) {
      assert.equal(told.filter((words) => new RegExp(`^session \\d+ of role ${role} \\(${name}\\)$`).test(words)).length, 1) // prettier-ignore
    }
  })

  test('a run without namesakes names nobody, also when its sessions are just ending', async () => {
    const rig = await locking()
    await rig.applyAll()
    const told: string[] = []
    await rig.closeHeld()
    await rig.agent.quiesce(rig.run, rig.signal, (words) => void told.push(words))
    assert.deepEqual(told, [])
  })

  test('a step without a record of its session ends none by its name, by itself or by hand', async () => {
    const rig = await locking()
    await rig.plan()
    await rig.apply(rig.steps[0]!, { record: 'fails' })
    await strangers.come(named(rig))
    await rig.undoAll()
    const { id, step } = rig.steps[0]!
    const config = { connection_url: field.server.url() }
    const { lines } = tableLock.byHand(step as never, { mark: markOf(rig.install, rig.run, id), config })
    assert.match(lines.join('\n'), /application_name/)
    await runByHand(lines)
    await strangers.untouched()
  })

  test('a process that is frozen with a lock, and recorded nothing, has its session ended, and a namesake of its role keeps its own', async () => {
    const holder = fileURLToPath(new URL('../fakes/lock-holder.ts', import.meta.url))
    const args = ['--import', './scripts/ts.mjs', holder, field.server.url(), 'frozen', 'public.accounts', '60000']
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
      child.kill('SIGSTOP')
      const rig = await openRig(
        {
          skill: tableLock,
          params: { tables: ['accounts'] },
          connect: (options) =>
            connectPostgres(
              { connection_url: field.server.url(), db_type: 'postgres', schemas: [] },
              [tableLock],
              options,
            ),
        },
        'frozen',
      )
      try {
        await strangers.come(named(rig))
        const locks = `select from pg_locks where relation = 'accounts'::regclass`
        assert.equal((await field.server.sql(locks)).length, 1)
        await rig.agent.quiesce('frozen', rig.signal)
        assert.equal((await field.server.sql(locks)).length, 0)
        await strangers.untouched()
      } finally {
        await rig.close()
      }
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('what shows that a session is ours cannot be copied: a stranger’s with our name, role and locks stays', async () => {
    const rig = await locking()
    await rig.applyAll()
    const copied = await field.server.sql(
      `select classid::int4 as class, objid::int8::bit(32)::int4 as number from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.objsubid = 2 and starts_with(a.application_name, '${runMark(rig.install, rig.run)}')`,
    )
    assert.ok(copied.length > 1, 'of the session that holds the lock, and of the one that undoes')
    await rig.closeHeld()
    await strangers.come(named(rig))
    for (const { class: space, number } of copied) {
      await strangers.each(`select pg_try_advisory_lock_shared(${String(space)}, ${String(number)})`)
    }
    await rig.undoAll()
    await strangers.untouched()
  })

  test('a stranger with our name, whose lock stands in the way of an undo, is waited for and not ended', async () => {
    const rig = await field.open(insertLoad, { tables: ['accounts'], rows_per_table: 5 })
    await rig.applyAll()
    await strangers.come([markOf(rig.install, rig.run, 1)])
    await field.server.sql('grant all on accounts to namesake')
    await strangers.each('lock table accounts in share mode')
    const undone = rig.undoAll()
    await untilWaiting()
    await strangers.untouched()
    await strangers.end()
    await undone
    assert.deepEqual(await field.server.sql('select * from accounts'), [])
  })

  test('a plain role is not stopped by a superuser’s session with its name', async () => {
    await field.each([
      'drop role if exists plain',
      'create role plain login',
      'grant select, insert, update, delete on accounts to plain',
      'grant usage on accounts_id_seq to plain',
    ])
    const plain = { connection_url: field.server.url('postgres', 'plain') }
    const rig = await field.open(insertLoad, { tables: ['accounts'], rows_per_table: 5 }, plain)
    await rig.applyAll()
    await strangers.come(named(rig))
    await rig.undoAll()
    await strangers.untouched()
    assert.deepEqual(await field.server.sql('select * from accounts'), [])
    await rig.close()
    await field.each(['drop owned by plain', 'drop role plain'])
  })
})
