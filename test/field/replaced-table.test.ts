/** D1: the table is not the one that was written to any more, and strangers' rows have keys of ours. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad } from '../labs/postgres-skills.ts'
import type { InsertStep } from '../../src/targets/database/skills/insert_load.ts'
import { openRig } from '../contract/skill.ts'
import type { Journaled, Rig, SkillCase } from '../contract/skill.ts'
import { runByHand } from '../fakes/by-hand.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const CUSTOMER = 'create table customer (id bigserial primary key, name text not null)'
const REAL = `insert into customer (name) select 'real ' || g from generate_series(1, 100) g`
const FRESH = `insert into customer (name) select 'refreshed ' || g from generate_series(1, 200) g`
const SMALL = `create table customer (id serial primary key, n integer not null)`

/** What happens in the soak. Afterwards 200 rows of strangers are there, 50 of them under our keys. */
const REPLACED: Readonly<Record<string, string>> = {
  'truncated with its sequence restarted': `truncate customer restart identity; ${FRESH}`,
  'dropped and created again': `drop table customer; ${CUSTOMER}; ${FRESH}`,
  'deleted from, its sequence set back, and filled again': `delete from customer; select setval('customer_id_seq', 1, false); ${FRESH}`,
  'given a sequence that starts anew': `delete from customer; alter sequence customer_id_seq restart; ${FRESH}`,
  'given a cycling sequence that came around': `delete from customer; select setval('customer_id_seq', 1, false); alter sequence customer_id_seq maxvalue 150 cycle;
    select setval('customer_id_seq', 150, true); insert into customer (name) select 'refreshed ' || g from generate_series(1, 150) g;
    insert into customer (id, name) select g, 'refreshed ' || g from generate_series(151, 200) g`,
  'renamed and another one put under its name': `alter table customer rename to customer_old; delete from customer_old;
    alter sequence customer_id_seq rename to customer_old_id_seq; ${CUSTOMER}; ${FRESH}`,
  'loaded anew by COPY with explicit keys': `truncate customer; insert into customer select g, 'refreshed ' || g from generate_series(1, 200) g`,
}

/** What happens in the soak to the same table: our rows are still ours. */
const REWRITTEN: Readonly<Record<string, string>> = {
  'VACUUM FULL': 'vacuum full customer',
  CLUSTER: 'cluster customer using customer_pkey',
  'VACUUM FREEZE': 'vacuum freeze customer',
  'a wider key':
    'alter table customer alter column id type numeric(20, 0); alter table customer alter column id type bigint',
  'a table that was written anew': 'alter table customer set unlogged; alter table customer set logged',
  'a column with a volatile default': 'alter table customer add column token uuid not null default gen_random_uuid()',
  'an index built anew': 'reindex table customer',
}

describe('D1: strangers’ rows have the keys of ours', () => {
  let server: Postgres
  const rigs: Rig[] = []
  before(async () => void (server = await startPostgres()))
  after(() => server.stop())
  const each = (sql: string): Promise<unknown> =>
    sql.split(/;\s*/).reduce<Promise<unknown>>((before, one) => before.then(() => server.sql(one)), Promise.resolve())
  const arrange = (table: string): Promise<unknown> =>
    each(`drop table if exists customer, customer_old cascade; ${table}`)
  beforeEach(() => arrange(`${CUSTOMER}; ${REAL}`))
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })
  const connect: SkillCase['connect'] = (options) =>
    connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, [insertLoad], options)
  const open = async (): Promise<Rig> => {
    const rig = await openRig({ skill: insertLoad, params: { tables: ['customer'], rows_per_table: 50 }, connect })
    rigs.push(rig)
    return rig
  }
  const rows = async (where = 'true'): Promise<number> =>
    (await server.sql(`select from customer where ${where}`)).length
  const byHand = (step: Journaled): Promise<string> => {
    const context = { mark: '', config: { connection_url: server.url() } }
    return runByHand(insertLoad.byHand(step.step as InsertStep, context).lines)
  }
  /** As an earlier version wrote it: keys and transaction, and nothing about the table. */
  const asBefore = (step: Journaled): void => {
    const newer = ['filenode', 'timeline', 'in_order']
    const old = Object.fromEntries(Object.entries(step.step).filter(([name]) => !newer.includes(name)))
    step.step = old
  }

  for (const [what, change] of Object.entries(REPLACED)) {
    test(`rows of a table that was ${what} stay, by the undo, by hand and from an old journal`, async () => {
      for (const undo of ['undo', 'by hand', 'old journal']) {
        await arrange(`${CUSTOMER}; ${REAL}`)
        const rig = await open()
        await rig.applyAll()
        assert.equal(await rows(), 150)
        await each(change)
        if (undo === 'old journal') asBefore(rig.steps[0]!)
        if (undo === 'by hand') assert.match(await byHand(rig.steps[0]!), /not known to be ours/)
        else await rig.undoAll()
        assert.equal(await rows(), 200, undo)
        const seen = await rig.inspect(rig.steps[0]!)
        assert.deepEqual([seen.inEffect, seen.foreign], [0, 50], undo)
      }
    })
  }

  for (const [what, change] of Object.entries(REWRITTEN)) {
    test(`${what} in the soak hides no row of ours, also where every column is small`, async () => {
      for (const table of [
        `${CUSTOMER}; ${REAL}`,
        `${SMALL}; insert into customer (n) select g from generate_series(1, 100) g`,
      ]) {
        await arrange(table)
        const rig = await open()
        await rig.applyAll()
        await each(change)
        await rig.undoAll()
        assert.equal(await rows(), 100, table)
        assert.deepEqual((await rig.inspect(rig.steps[0]!)).names, [])
      }
    })
  }

  test('a load of a copy that has our rows in it puts them back under another table, and they are taken back all the same', async () => {
    const rig = await open()
    await rig.applyAll()
    await each(
      'create table kept as table customer; truncate customer restart identity; insert into customer table kept; drop table kept',
    )
    assert.equal(await rows(), 150)
    await rig.undoAll()
    assert.equal(await rows(), 100)
    await rig.applyAll()
    await each(`alter table customer rename to customer_old; create table customer (like customer_old including all);
      insert into customer table customer_old`)
    await rig.undoAll()
    assert.equal(await rows(), 100)
    assert.equal((await server.sql('select from customer_old')).length, 100)
  })

  test('a row of ours that the application has updated goes, the one that it put in place of another stays', async () => {
    await arrange(`create table customer (id serial primary key, name text not null, n integer not null)`)
    const rig = await open()
    await rig.applyAll()
    await each(`update customer set n = 0; delete from customer where id in (3, 4);
      insert into customer values (3, 'someone', 0), (4, 'else', 1)`)
    await rig.undoAll()
    assert.deepEqual((await server.sql('select id from customer order by id')).map((row) => row['id']), [3, 4]) // prettier-ignore
    assert.equal((await rig.inspect(rig.steps[0]!)).foreign, 2)
  })

  test('an unlogged table that a crash emptied has nothing of ours, whoever has our keys now', async () => {
    await arrange(CUSTOMER.replace('table', 'unlogged table'))
    const rig = await open()
    await rig.applyAll()
    await rig.close()
    rigs.length = 0
    server.kill9()
    await server.restart()
    await each(`select setval('customer_id_seq', 1, false); ${FRESH}`)
    const later = await openRig({ skill: insertLoad, params: {}, connect }, rig.run)
    rigs.push(later)
    later.adopt(rig.steps)
    await later.undoAll()
    assert.equal(await rows(), 200)
  })
})
