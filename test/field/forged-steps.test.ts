/** F11: a journal is data, never SQL: types and operators in forged steps are not run by an undo, nor by what people run by hand. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, updateLoad } from '../labs/postgres-skills.ts'
import type { InsertStep } from '../../src/targets/database/skills/insert_load.ts'
import type { UpdateStep } from '../../src/targets/database/skills/update_load.ts'
import { openRig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const EVIL = 'pg_catalog.lo_from_bytea(0, $$x$$)'
const FORGED = [
  `= 7 or ${EVIL} > 0 or t.id =`,
  `OPERATOR(app.===)`,
  `integer) as k0, ${EVIL} as x --`,
  `integer or ${EVIL} > 0`,
  `text as k0, ${EVIL}::text`,
  `app.evil`,
  `integer\n\\! touch /tmp/forged-journal\n`,
  `"x" || ${EVIL}::text`,
]

describe('forged steps', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  before(async () => {
    server = await startPostgres()
    await server.sql(`create schema app;
      create function app.told(a int, b int) returns boolean language plpgsql as 'begin perform lo_from_bytea(0, ''x''); return true; end';
      create operator app.=== (leftarg = int, rightarg = int, function = app.told);
      create function app.tell(text) returns boolean language plpgsql as 'begin perform lo_from_bytea(0, ''x''); return true; end';
      create domain app.evil as text check (app.tell(value));
      create table app.t (id int primary key, name text); insert into app.t select i, 'some text ' || i from generate_series(1, 9) i`)
  })
  after(() => server.stop())

  test('no statement of theirs runs in inspect, undo or what people run by hand', async () => {
    const config = { connection_url: server.url(), db_type: 'postgres', schemas: ['app'] } as const
    let tried = 0
    for (const skill of [insertLoad, updateLoad]) {
      const rig = await openRig({
        skill,
        params: { tables: ['app.t'] },
        connect: (options) => connectPostgres({ ...config, schemas: ['app'] }, [insertLoad, updateLoad], options),
      })
      try {
        await rig.applyAll()
        const [made] = rig.steps
        assert.ok(made)
        const step = made.step as InsertStep & UpdateStep
        const [id] = step.key.columns
        assert.ok(id)
        const key = (change: object): object => ({ key: { ...step.key, columns: [{ ...id, ...change }] } })
        const forged = FORGED.flatMap((text) => [
          key({ equality: text }),
          key({ type: text }),
          {
            ...key({ equality: text, type: text }),
            key: { integer: false, columns: [{ ...id, type: text, equality: text }] },
          },
          ...(skill === updateLoad ? [{ columns: step.columns.map((c) => ({ ...c, type: text })) }] : []),
        ])
        for (const change of forged) {
          tried++
          const journaled = { ...made, step: { ...step, ...change } }
          await rig.inspect(journaled).catch(() => undefined)
          await rig.revert(journaled).catch(() => undefined)
          const byHand = (skill.byHand as (s: object, c: object) => { lines: string[] })(journaled.step, {
            mark: 'chaos-a-b-1',
            config,
          })
          for (const text of FORGED) assert.ok(!byHand.lines.join('\n').includes(text), text)
        }
        await rig.undoAll()
      } finally {
        await rig.close()
      }
    }
    assert.deepEqual(await server.sql('select count(*)::int as n from pg_largeobject_metadata'), [{ n: 0 }])
    assert.deepEqual(await server.sql(`select count(*)::int as n from app.t where name = 'some text ' || id`), [
      { n: 9 },
    ])
    console.log(`${tried} forged steps, 0 of their statements run`)
  })
})
