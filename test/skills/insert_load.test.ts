/** db.insert_load on real servers: after the undo the only difference is what the application did itself. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { ConfigError, RefusedError, StaleError, TargetError } from '../../src/core/errors.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { postgres } from '../../src/targets/database/postgres/index.ts'
import { insertLoad as anyInsertLoad } from '../../src/targets/database/skills/insert_load.ts'
import type { InsertStep } from '../../src/targets/database/rows/insert-step.ts'
import { namesakes } from '../contract/namesakes.ts'
import { openRig, skillContract } from '../contract/skill.ts'
import type { Rig, SkillCase } from '../contract/skill.ts'
import { debianPostgresMissing, startDebianPostgres } from '../labs/debian-postgres.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import type { Snapshot } from '../labs/snapshot.ts'
import { NASTY_RELOADED, NASTY_ROWS, NASTY_SCHEMA, NASTY_SECRETS } from '../targets/database/nasty.ts'

const insertLoad = anyInsertLoad(postgres)

let server: Postgres
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

async function arrange(): Promise<void> {
  await server.sql(NASTY_SCHEMA + NASTY_ROWS)
}

function connectAs(user: string): SkillCase['connect'] {
  return (options) =>
    connectPostgres(
      { connection_url: server.url('postgres', user), db_type: 'postgres', schemas: [] },
      [insertLoad],
      options,
    )
}

function insertCase(name: string, params: object, more: Partial<SkillCase> = {}): SkillCase {
  return {
    name,
    skill: insertLoad,
    params,
    connect: connectAs('postgres'),
    config: () => ({ connection_url: server.url() }),
    arrange,
    snapshot: () => snapshot(server.url()),
    effect: async () => (await snapshot(server.url())).tables,
    // The rig's own control connections are none of the target's business.
    diff: (a, b) => diff(a as Snapshot, b as Snapshot).filter((line) => !/^session chaos-contract-\w+-0 /.test(line)),
    secrets: NASTY_SECRETS,
    replaced: { change: () => server.sql(NASTY_RELOADED).then(() => undefined) },
    strangers: namesakes(() => server),
    ...more,
  }
}

skillContract(
  insertCase(
    'an integer key from a sequence, referred to with ON DELETE CASCADE and SET NULL',
    { rows_per_table: 300, tables: ['nasty.customers'], batch_rows: 120 },
    {
      elsewhere: () => ({ connection_url: server.url(), db_type: 'postgres' }),
      foreign: {
        async change(steps) {
          const first = Number((steps[0] as InsertStep).keys?.[0]?.[0])
          await server.sql(
            `insert into nasty.orders (customer_id, quantity, price, status) values (${first}, 1, 1, 'sent');
             insert into nasty.sessions values (gen_random_uuid(), ${first + 1}, '10.9.9.9', now(), null)`,
          )
        },
        async check() {
          const orders = await server.sql(`select customer_id from nasty.orders where price = 1`)
          const sessions = await server.sql(`select customer_id from nasty.sessions where address = '10.9.9.9'`)
          const kept = await server.sql(`select id from nasty.customers where email like 'chaos-%' order by id`)
          assert.deepEqual(
            [...orders, ...sessions].map((row) => row['customer_id']),
            kept.map((row) => row['id']),
          )
        },
      },
    },
  ),
)
skillContract(insertCase('everything it can serve, picked by itself', { rows_per_table: 40 }))

describe('db.insert_load', () => {
  const rigs: Rig[] = []
  beforeEach(arrange)
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })
  async function open(params: object, user = 'postgres'): Promise<Rig> {
    const rig = await openRig({ skill: insertLoad, params, connect: connectAs(user) })
    rigs.push(rig)
    return rig
  }
  const stepOf = (rig: Rig, i = 0): InsertStep => rig.steps[i]?.step as InsertStep
  const count = async (table: string): Promise<number> =>
    Number((await server.sql(`select count(*)::int as n from ${table}`))[0]?.['n'])

  test('takes back rows that the application has updated, also where its keys could be anybody’s', async () => {
    const rig = await open({ rows_per_table: 50, tables: ['nasty.customers', 'nasty.lines', 'nasty.categories'] })
    const before = await snapshot(server.url())
    await rig.applyAll()
    await server.sql(
      `update nasty.customers set name = 'edited', balance = 1 where id > 70;
       update nasty.lines set amount = 5 where item like 'chaos-%';
       update nasty.categories set slug = 'xyz' where id > 20`,
    )
    await rig.undoAll()
    assert.deepEqual(
      diff(before, await snapshot(server.url())).filter((line) => !line.startsWith('session ')),
      [],
    )
  })

  test('keeps a row that the application put in place of one of ours under the same key', async () => {
    const rig = await open({ rows_per_table: 20, tables: ['nasty.likes'] })
    await rig.applyAll()
    const { keys = [] } = stepOf(rig)
    const [customer, key] = keys[0] ?? []
    await server.sql(`delete from nasty.likes where customer_id = ${customer} and "Key" = '${key}';
      insert into nasty.likes values (${customer}, '${key}')`)
    await rig.undoAll()
    assert.equal(await count('nasty.likes'), 7)
    const seen = await rig.inspect(rig.steps[0]!)
    const names = [`nasty.likes ${customer}, ${key}`]
    assert.deepEqual(seen, { inEffect: 0, restored: keys.length - 1, foreign: 1, names })
  })

  test('takes back rows of ours that refer to each other, and keeps what a row of the application leads to', async () => {
    const rig = await open({ rows_per_table: 30, tables: ['nasty.categories'] })
    await rig.applyAll()
    const first = Number(stepOf(rig).keys?.[0]?.[0])
    await server.sql(
      `update nasty.categories set parent_id = ${first + 1} where id = ${first};
       update nasty.categories set parent_id = ${first} where id = ${first + 1};
       update nasty.categories set parent_id = ${first + 5} where id = ${first + 6};
       insert into nasty.categories values (5000, ${first + 6}, 'the app')`,
    )
    await rig.undoAll()
    const left = await server.sql(`select id from nasty.categories where id >= ${first} order by id`)
    assert.deepEqual(
      left.map((row) => row['id']),
      [first + 5, first + 6, 5000],
    )
    assert.equal((await rig.inspect(rig.steps[0]!)).foreign, 2)
  })

  test('refers to the same parents for the same seed, and to others for another', async () => {
    const referred: unknown[][] = []
    for (const seed of ['one', 'one', 'two']) {
      const rig = await open({})
      await rig.plan({ rows_per_table: 20, tables: ['nasty.orders'] }, { seed })
      for (const step of rig.steps) await rig.apply(step)
      const rows = await server.sql('select customer_id from nasty.orders order by id desc limit 20')
      referred.push(rows.map((row) => row['customer_id']))
      await rig.undoAll()
    }
    const [one, again, two] = referred
    assert.deepEqual(again, one)
    assert.notDeepEqual(two, one)
  })

  test('fills a table that refers to an empty one when it fills that first', async () => {
    await server.sql('truncate nasty.customers, nasty.orders cascade')
    const rig = await open({ rows_per_table: 10, tables: ['nasty.lines', 'nasty.orders', 'nasty.customers'] })
    await rig.applyAll()
    assert.deepEqual(
      rig.steps.map((s) => s.planned.resource),
      ['nasty.customers', 'nasty.orders', 'nasty.lines'],
    )
    assert.equal(await count('nasty.lines'), 10)
    await rig.undoAll()
    assert.equal((await count('nasty.customers')) + (await count('nasty.orders')) + (await count('nasty.lines')), 0)
  })

  test('goes without COPY where temporary tables are not allowed, and with no privilege more than it asks for', async () => {
    await server.sql(
      `drop role if exists modest; create role modest login; revoke temporary on database postgres from public;
       grant usage on schema nasty to modest; grant select, insert, update, delete on nasty.customers to modest;
       grant usage on sequence nasty.customers_id_seq to modest;
       grant select on nasty.orders, nasty.sessions, nasty.likes, nasty.profiles, nasty.positions to modest`,
    )
    try {
      const rig = await open({ rows_per_table: 1200, tables: ['nasty.customers'] }, 'modest')
      await rig.applyAll()
      assert.equal(await count('nasty.customers'), 64 + 1200)
      assert.equal(stepOf(rig).keys?.length, 1)
      await rig.undoAll()
      assert.equal(await count('nasty.customers'), 64)
    } finally {
      await server.sql('grant temporary on database postgres to public; drop owned by modest; drop role modest')
    }
  })

  test('names the GRANT that is missing, in plan and as an error when the table was named', async () => {
    await server.sql(`drop role if exists "Poor One"; create role "Poor One" login; grant usage on schema nasty to "Poor One";
      grant select, insert on nasty.flags to "Poor One"; grant select, insert, update, delete on nasty.customers to "Poor One"`)
    try {
      const rig = await open({}, 'Poor One')
      const skipped = new Map((await rig.plan()).skipped?.map((s) => [s.resource, s.fix]))
      assert.equal(
        skipped.get('nasty.flags'),
        'GRANT UPDATE, DELETE ON nasty.flags TO "Poor One"; -- in database "postgres"',
      )
      assert.equal(
        skipped.get('"My Schema"."select"'),
        [
          'GRANT USAGE ON SCHEMA "My Schema" TO "Poor One"; -- in database "postgres"',
          'GRANT SELECT, INSERT, UPDATE, DELETE ON "My Schema"."select" TO "Poor One"; -- in database "postgres"',
        ].join('\n'),
      )
      assert.equal(
        skipped.get('nasty.customers'),
        'GRANT SELECT ON nasty.orders TO "Poor One"; -- in database "postgres"',
      )
      await assert.rejects(rig.plan({ tables: ['nasty.flags'] }), (error) => {
        assert.ok(error instanceof TargetError && error.code === 'TARGET_PRIVILEGE')
        assert.match(error.message, /GRANT UPDATE, DELETE ON nasty\.flags TO "Poor One";/)
        return true
      })
    } finally {
      await server.sql('drop owned by "Poor One"; drop role "Poor One"')
    }
  })

  test('says why it passes over a table, and refuses it when it was named', async () => {
    await server.sql(`
      create table nasty.guarded (id serial primary key, a text); alter table nasty.guarded enable row level security;
      alter table nasty.guarded force row level security;
      create table nasty.published (id integer not null unique, a text); create publication all_of_it for table nasty.published;
      create table nasty.empty_row (id serial primary key)`)
    const reasons: Record<string, RegExp> = {
      'nasty.no_key': /no primary key and no unique key, and no column/,
      'nasty.triggered': /triggers \(touch\)/,
      'nasty.ruled': /rules \(ruled\)/,
      'nasty.parted_2026': /a partition/,
      'nasty.heir': /inheritance/,
      'nasty.odd_type': /column area is NOT NULL and values of its type aclitem/,
      'nasty.odd_check': /satisfies CHECK odd_check_a_check/,
      'nasty.orphan': /must refer to a row of nasty\.orphan_parent, and there is none/,
      'nasty.published': /published without a replica identity/,
      'nasty.empty_row': /no column to fill/,
    }
    try {
      const rig = await open({ rows_per_table: 5 })
      const skipped = new Map((await rig.plan()).skipped?.map((s) => [s.resource, s.reason]))
      for (const [table, reason] of Object.entries(reasons)) {
        assert.match(skipped.get(table) ?? '', reason, table)
        await assert.rejects(rig.plan({ rows_per_table: 5, tables: [table] }), (error) => {
          assert.ok(error instanceof RefusedError && error.code === 'REFUSED_UNSUITABLE', String(error))
          assert.match(error.message, reason)
          return true
        })
      }
      await assert.rejects(rig.plan({ rows_per_table: 5, tables: ['nasty.a_view'] }), RefusedError)
      await assert.rejects(rig.plan({ rows_per_table: 5, tables: ['nasty.custmers', 'nope'] }), (error) => {
        assert.ok(error instanceof ConfigError && error.code === 'CONFIG_NOT_ON_TARGET')
        assert.match(error.message, /params\.tables\[0\].*did you mean nasty\.customers\?/)
        assert.match(error.message, /params\.tables\[1\].*no table "nope"/)
        return true
      })
    } finally {
      await server.sql('drop publication all_of_it')
    }
  })

  test('row-level security that applies to our role, or hides rows that refer to ours, keeps it away', async () => {
    await server.sql(`drop role if exists ruled_over; create role ruled_over login; grant usage on schema nasty to ruled_over;
      grant all on all tables in schema nasty to ruled_over; grant all on all sequences in schema nasty to ruled_over;
      alter table nasty.sessions enable row level security`)
    try {
      const rig = await open({ rows_per_table: 5 }, 'ruled_over')
      const skipped = new Map((await rig.plan()).skipped?.map((s) => [s.resource, s.reason]))
      assert.match(skipped.get('nasty.sessions') ?? '', /row-level security applies to ruled_over/)
      assert.match(skipped.get('nasty.customers') ?? '', /hides rows of nasty\.sessions/)
    } finally {
      await server.sql('drop owned by ruled_over; drop role ruled_over')
    }
  })

  test('a table that changed or went away since the plan is stale', async () => {
    for (const [change, table] of [
      ['alter table nasty.flags add column more text', 'nasty.flags'],
      [
        'create trigger late before insert on nasty.customers for each row execute function nasty.touch()',
        'nasty.customers',
      ],
      ['drop table nasty.profiles', 'nasty.profiles'],
    ] as const) {
      const rig = await open({ rows_per_table: 5, tables: [table] })
      await rig.plan()
      await server.sql(change)
      await assert.rejects(rig.apply(rig.steps[0]!), StaleError)
    }
  })

  test('finds its rows in a table that was renamed meanwhile, and has nothing to do in one that was dropped', async () => {
    const rig = await open({ rows_per_table: 5, tables: ['nasty.flags', 'nasty.profiles'] })
    await rig.applyAll()
    await server.sql('alter table nasty.flags rename to "Flags 2"; drop table nasty.profiles')
    await rig.undoAll()
    assert.equal(await count('nasty."Flags 2"'), 8)
    for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
  })

  for (const { name, start, missing } of [
    { name: 'can be told to flush its log', start: startPostgres, missing: undefined },
    { name: 'cannot', start: startDebianPostgres, missing: debianPostgresMissing() },
  ]) {
    const title = `does not take the application’s rows for its own when a crash lost the transaction on a server that ${name}`
    test(title, { skip: missing ?? false }, async () => {
      const crashing = await start()
      try {
        await crashing.sql(NASTY_SCHEMA + NASTY_ROWS)
        const connect: SkillCase['connect'] = (options) =>
          connectPostgres({ connection_url: crashing.url(), db_type: 'postgres', schemas: [] }, [insertLoad], options)
        const rig = await openRig({
          skill: insertLoad,
          params: { rows_per_table: 4, tables: ['nasty.customers'] },
          connect,
        })
        await crashing.sql('checkpoint')
        await rig.plan()
        const hanging = rig.apply(rig.steps[0]!, { record: 'hangs' })
        await rig.recording
        const [first, last] = stepOf(rig).keys?.[0] ?? []
        crashing.kill9()
        rig.letGo()
        await hanging
        await rig.close()
        await crashing.restart()
        // The same numbers again, as a sequence gives them whose last ones had not reached the disk.
        await crashing.sql(
          `insert into nasty.customers (id, email, name) select i, i || '@app.example', 'app' from generate_series(${first}, ${last}) i`,
        )
        for (let n = 0n; n <= BigInt(stepOf(rig).xid ?? 0);) {
          n = BigInt(String((await crashing.sql('select pg_current_xact_id()::text as x'))[0]?.['x']))
        }
        const later = await openRig({ skill: insertLoad, params: {}, connect }, rig.run)
        later.adopt(rig.steps)
        await later.undoAll()
        await later.close()
        assert.equal((await crashing.sql(`select from nasty.customers where name = 'app'`)).length, 4)
      } finally {
        await crashing.stop()
      }
    })
  }

  test('leaves out rows that collide with keys the application chose itself, and takes back only its own', async () => {
    await server.sql('insert into nasty.flags (id, is_on) select i, true from generate_series(20, 400, 2) i')
    const before = await snapshot(server.url())
    const rig = await open({ rows_per_table: 100, tables: ['nasty.flags'] })
    const [seen] = await rig.applyAll()
    assert.ok(seen && seen.inEffect > 20 && seen.inEffect < 100, JSON.stringify(seen?.inEffect))
    assert.equal(await count('nasty.flags'), 8 + 191 + seen.inEffect)
    await rig.undoAll()
    assert.deepEqual(
      diff(before, await snapshot(server.url())).filter((line) => !line.startsWith('session ')),
      [],
    )
  })

  test('leaves alone what earlier invocations of the run have taken', async () => {
    const rig = await open({ rows_per_table: 5 })
    const taken = new Set((await rig.plan()).steps.flatMap((s) => s.touches))
    const again = await rig.plan({ rows_per_table: 5 }, { taken })
    assert.deepEqual(again.steps, [])
  })

  test('notes a reference without an index that makes its undo slow', async () => {
    await server.sql(
      `insert into nasty.positions (place, customer_id) select i, 1 from generate_series(10, 15000) i; analyze nasty.positions`,
    )
    const rig = await open({ rows_per_table: 5, tables: ['nasty.customers'] })
    assert.match(
      (await rig.plan()).notes?.join() ?? '',
      /reads all of nasty\.positions for each.*no index on its customer_id/,
    )
  })
})
