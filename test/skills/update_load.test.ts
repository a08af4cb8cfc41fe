/** db.update_load on real servers: values come back exactly, and what the application changed since stays. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { ConfigError, RefusedError, StaleError } from '../../src/core/errors.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { postgres } from '../../src/targets/database/postgres/index.ts'
import { updateLoad as anyUpdateLoad } from '../../src/targets/database/skills/update_load.ts'
import type { UpdateStep } from '../../src/targets/database/rows/update-step.ts'
import { namesakes } from '../contract/namesakes.ts'
import { openRig, skillContract } from '../contract/skill.ts'
import type { Rig, SkillCase } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import type { Snapshot } from '../labs/snapshot.ts'
import { NASTY_RELOADED, NASTY_ROWS, NASTY_SCHEMA, NASTY_SECRETS } from '../targets/database/nasty.ts'

const updateLoad = anyUpdateLoad(postgres)

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
      [updateLoad],
      options,
    )
}

function updateCase(name: string, params: object, more: Partial<SkillCase> = {}): SkillCase {
  return {
    name,
    skill: updateLoad,
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
  updateCase(
    'many types with values whose exact text matters',
    {
      rows: 64,
      tables: ['nasty.customers'],
      columns: [
        'name',
        'code',
        'profile',
        'raw',
        'photo',
        'balance',
        'big',
        'ratio',
        'seen',
        'token',
        'initials',
        'note',
      ],
    },
    {
      elsewhere: () => ({ connection_url: server.url(), db_type: 'postgres' }),
      foreign: {
        async change() {
          await server.sql(
            `update nasty.customers set name = 'the application''s', note = null where id = 1;
             update nasty.customers set token = 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' where id = 2;
             delete from nasty.customers where id = 60; update nasty.customers set id = 1000 where id = 61`,
          )
        },
        async check() {
          const rows = await server.sql(
            `select name, note, code, token::text, big::text from nasty.customers where id in (1, 2, 60, 1000) order by id`,
          )
          assert.deepEqual(rows, [
            {
              name: "the application's",
              note: null,
              code: 'A-1',
              token: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
              big: '9223372036854775807',
            },
            {
              name: '',
              note: '',
              code: null,
              token: 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
              big: '-9223372036854775808',
            },
            { name: 'Bulk 57', note: 'note 57', code: null, token: rows[2]?.['token'], big: '57' },
          ])
          assert.deepEqual(await server.sql(`select from nasty.customers where note like 'chaos%'`), [])
        },
      },
    },
  ),
)
skillContract(updateCase('everything it can serve, picked by itself', { rows: 60 }))
skillContract(
  updateCase(
    'a table with small types only',
    { rows: 5, tables: ['nasty.flags'] },
    // Values stay as they were: what shows is that rows have been written.
    { pureLoad: true, effect: () => server.sql('select xmin::text from nasty.flags order by 1') },
  ),
)

describe('db.update_load', () => {
  const rigs: Rig[] = []
  beforeEach(arrange)
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })
  async function open(params: object, user = 'postgres'): Promise<Rig> {
    const rig = await openRig({ skill: updateLoad, params, connect: connectAs(user) })
    rigs.push(rig)
    return rig
  }
  const planned = (plan: { steps: { step: object }[] }): UpdateStep[] => plan.steps.map((s) => s.step as UpdateStep)

  test('gives every row another value, none of them the one it had', async () => {
    const rig = await open({ rows: 64, tables: ['nasty.customers'], columns: ['note', 'big'] })
    await rig.applyAll()
    const rows = await server.sql(
      `select count(distinct note)::int as notes, count(distinct big)::int as bigs from nasty.customers`,
    )
    assert.deepEqual(rows, [{ notes: 64, bigs: 64 }])
    const { before = [], ours = [] } = rig.steps[0]!.step as UpdateStep
    assert.ok(before.every((values, i) => values.every((value, c) => value !== ours[i]?.[c])))
  })

  test('while it waits for a row that the application has locked it is ended, and nothing lands afterwards', async () => {
    const before = await snapshot(server.url())
    const rig = await open({ rows: 64, tables: ['nasty.customers'] })
    await rig.plan()
    const app = new pg.Client({ connectionString: server.url() })
    await app.connect()
    await app.query('begin; update nasty.customers set discount = discount where id = 5')
    const waiting = rig.apply(rig.steps[0]!).catch((error: unknown) => error)
    while ((await server.sql(`select from pg_locks where not granted`)).length === 0) await sleep(5)
    await rig.undoAll()
    await app.query('commit')
    await app.end()
    assert.ok((await waiting) instanceof Error)
    assert.equal((await rig.inspect(rig.steps[0]!)).inEffect, 0)
    assert.deepEqual(
      diff(before, await snapshot(server.url())).filter((line) => !line.startsWith('session ')),
      [],
    )
  })

  test('undoes around an application that keeps writing the same rows and columns', async () => {
    const rig = await open({ rows: 64, tables: ['nasty.customers'], columns: ['note', 'name'] })
    let writing = true
    const edits = new Map<number, string>()
    const app = (async () => {
      for (let n = 0; writing; n++) {
        const [id, note] = [1 + ((n * 7) % 64), `edit ${n}`]
        await server.sql(`update nasty.customers set note = '${note}' where id = ${id}`)
        edits.set(id, note)
      }
    })()
    const before = new Map((await server.sql('select id, name, note from nasty.customers')).map((r) => [r['id'], r]))
    await rig.applyAll()
    while (edits.size < 40) await sleep(5)
    await rig.undoAll()
    writing = false
    await app
    for (const { id, name, note } of await server.sql('select id, name, note from nasty.customers')) {
      assert.equal(name, before.get(id)?.['name'], `the name of ${String(id)}`)
      const edited = edits.get(Number(id))
      if (edited === undefined) assert.equal(note, before.get(id)?.['note'], `the note of ${String(id)}`)
      else assert.match(String(note), /^edit \d+$/)
    }
  })

  test('invocations of one run never take the same row', async () => {
    const rig = await open({ rows: 30, tables: ['nasty.customers'] })
    const taken = new Set<string>()
    const keys: string[] = []
    for (const wanted of [30, 30, 4]) {
      const plan = await rig.plan(undefined, { taken })
      for (const step of plan.steps) for (const id of [...step.touches, ...(step.takes ?? [])]) taken.add(id)
      const more = planned(plan).flatMap((s) => s.keys.map(String))
      assert.equal(more.length, wanted)
      keys.push(...more)
    }
    assert.equal(new Set(keys).size, 64)
    assert.deepEqual(
      (await rig.plan({ rows: 30 }, { taken: new Set(['nasty.customers']) })).steps.filter(
        (s) => s.resource === 'nasty.customers',
      ),
      [],
    )
  })

  test('keeps its steps and what it records within 1 MiB, whatever the values', async () => {
    await server.sql(`update nasty.customers set note = repeat(chr(7), 40000) where id > 4;
      update nasty.customers set note = repeat('x', 200000) where id = 4`)
    const before = await snapshot(server.url())
    const rig = await open({ rows: 64, tables: ['nasty.customers'], columns: ['note'] })
    const steps = planned(await rig.plan())
    assert.ok(steps.length > 5)
    assert.ok(
      steps.every((step) => !step.keys.some(([id]) => id === '4')),
      'a value that is too large is left alone',
    )
    // Grown since the plan, and six times as long in JSON.
    await server.sql(`update nasty.customers set note = repeat(chr(7), 60000) where id > 4`)
    const grown = await snapshot(server.url())
    for (const step of rig.steps) await rig.apply(step)
    await rig.undoAll()
    assert.deepEqual(
      diff(grown, await snapshot(server.url())).filter((line) => !line.startsWith('session ')),
      [],
    )
    assert.notDeepEqual(before, grown)
  })

  test('refuses columns that are not there or cannot be put back, and says why', async () => {
    const rig = await open({})
    const tables = ['nasty.customers']
    await assert.rejects(rig.plan({ tables, columns: ['nope'] }), (error) => {
      assert.ok(error instanceof ConfigError && error.code === 'CONFIG_NOT_ON_TARGET')
      assert.match(error.message, /params\.columns\[0\].*"nope"/)
      return true
    })
    for (const [column, why] of [
      ['active', /too few values/],
      ['email', /part of a unique key/],
      ['discount', /limited by a CHECK/],
      ['id', /filled by the server/],
    ] as const) {
      await assert.rejects(rig.plan({ tables, columns: [column] }), (error) => {
        assert.ok(error instanceof RefusedError)
        assert.match(error.message, why)
        return true
      })
    }
    await assert.rejects(rig.plan({ tables: ['nasty.orders'], columns: ['price'] }), /is limited by a CHECK/)
    await assert.rejects(rig.plan({ tables: ['nasty.triggered'] }), /triggers \(touch\)/)
  })

  test('picks columns without an index before indexed ones', async () => {
    await server.sql(`create table nasty.indexed (id serial primary key, a text, b text, c text);
      create index on nasty.indexed (a); create index on nasty.indexed (lower(b));
      insert into nasty.indexed (a, b, c) values ('a', 'b', 'c')`)
    const rig = await open({ rows: 1, tables: ['nasty.indexed'] })
    assert.deepEqual(
      planned(await rig.plan())[0]?.columns.map((c) => c.name),
      ['c'],
    )
    await server.sql('alter table nasty.indexed drop column c')
    assert.deepEqual(
      planned(await rig.plan())[0]
        ?.columns.map((c) => c.name)
        .sort(),
      ['a', 'b'],
    )
  })

  test('rows that went away since the plan are left out; a table that changed, or without any of them, is stale', async () => {
    const rig = await open({ rows: 10, tables: ['nasty.sessions'] })
    await rig.plan()
    await server.sql(`delete from nasty.sessions where id in (select id from nasty.sessions limit 12)`)
    await rig.apply(rig.steps[0]!)
    assert.equal((rig.steps[0]!.step as UpdateStep).changed?.length, (await rig.inspect(rig.steps[0]!)).inEffect)
    await rig.undoAll()
    const second = await open({ rows: 10, tables: ['nasty.sessions'] })
    await second.plan()
    await server.sql('delete from nasty.sessions')
    await assert.rejects(second.apply(second.steps[0]!), StaleError)
    const third = await open({ rows: 10, tables: ['nasty.customers'] })
    await third.plan()
    await server.sql('alter table nasty.customers add constraint late check (id > 0)')
    await assert.rejects(third.apply(third.steps[0]!), StaleError)
  })

  test('names the GRANT that is missing', async () => {
    await server.sql(`drop role if exists reader; create role reader login; grant usage on schema nasty to reader;
      grant select on nasty.customers to reader`)
    try {
      const rig = await open({}, 'reader')
      const skipped = (await rig.plan()).skipped?.find((s) => s.resource === 'nasty.customers')
      assert.equal(skipped?.fix, 'GRANT UPDATE ON nasty.customers TO "reader"; -- in database "postgres"')
      await server.sql('grant update (note) on nasty.customers to reader')
      assert.deepEqual(
        planned(await rig.plan({ tables: ['nasty.customers'] }))[0]?.columns.map((c) => c.name),
        ['note'],
      )
      await rig.applyAll()
      await rig.undoAll()
    } finally {
      await server.sql('drop owned by reader; drop role reader')
    }
  })

  test('spreads its rows over a table that is too large to read', async () => {
    await server.sql(`create table nasty.large (id bigserial primary key, note text);
      insert into nasty.large (note) select 'n' || i from generate_series(1, 120000) i; analyze nasty.large`)
    const rig = await open({ rows: 50, tables: ['nasty.large'] })
    const ids = planned(await rig.plan()).flatMap((s) => s.keys.map(([id]) => Number(id)))
    assert.equal(ids.length, 50)
    assert.ok(Math.max(...ids) - Math.min(...ids) > 60_000, `from ${Math.min(...ids)} to ${Math.max(...ids)}`)
    await rig.applyAll()
    await rig.undoAll()
    assert.equal((await server.sql(`select from nasty.large where note <> 'n' || id`)).length, 0)
  })
})
