/** D3: rows of join tables, whose key is that of their parents, that the application has updated in the soak. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { insertLoad } from '../labs/postgres-skills.ts'
import type { InsertStep } from '../../src/targets/database/skills/insert_load.ts'
import type { Rig } from '../contract/skill.ts'
import { runByHand } from '../fakes/by-hand.ts'
import { fieldServer } from './rigs.ts'

const PARENTS = ['u', 'post', 'tag']
const REFERENCES = PARENTS.map((name) => `${name}_id int references ${name}`)

/** Tables, and what the application does to every row in the soak. */
const CASES: readonly { title: string; table: string; update: string }[] = [
  {
    title: 'a pair with a flag',
    table: `(${REFERENCES.slice(0, 2).join(', ')}, seen bool default false, primary key (u_id, post_id))`,
    update: 'update m2m set seen = true',
  },
  {
    title: 'three parents and a time',
    table: `(${REFERENCES.join(', ')}, at timestamptz not null default now(), primary key (u_id, post_id, tag_id))`,
    update: `update m2m set at = at + interval '1 day'`,
  },
  {
    title: 'a pair with a count that the application raises',
    table: `(${REFERENCES.slice(0, 2).join(', ')}, n int not null default 0, primary key (u_id, post_id))`,
    update: 'update m2m set n = n + 1',
  },
  {
    title: 'a pair that nobody has updated',
    table: `(${REFERENCES.slice(0, 2).join(', ')}, primary key (u_id, post_id))`,
    update: 'select 1',
  },
]

describe('D3: rows of join tables are taken back', () => {
  const field = fieldServer()
  const arrange = async (table: string): Promise<void> => {
    await field.server.sql(`drop table if exists m2m, ${PARENTS.join(', ')} cascade`)
    for (const name of PARENTS) {
      await field.server.sql(`create table ${name} (id serial primary key, n text)`)
      await field.server.sql(`insert into ${name} (n) select '${name}' || g from generate_series(1, 50) g`)
    }
    await field.server.sql(`create table m2m ${table}`)
  }
  const applied = async (): Promise<Rig> => {
    const rig = await field.open(insertLoad, { tables: ['m2m'], rows_per_table: 20 })
    await rig.plan()
    await rig.applyAll()
    return rig
  }
  const count = async (): Promise<number> => (await field.server.sql('select from m2m')).length

  for (const { title, table, update } of CASES) {
    test(title, async () => {
      await arrange(table)
      const rig = await applied()
      assert.equal(await count(), 20)
      await field.server.sql(update)
      await rig.undoAll()
      for (const step of rig.steps) {
        const { inEffect, foreign } = await rig.inspect(step)
        assert.deepEqual({ inEffect, foreign }, { inEffect: 0, foreign: 0 })
      }
      assert.equal(await count(), 0)
    })
  }

  test('a pair without another column that the application writes over, as an upsert does, is its own, and said to be kept', async () => {
    await arrange(CASES.at(-1)?.table ?? '')
    const rig = await applied()
    await field.server.sql('insert into m2m table m2m on conflict (u_id, post_id) do update set u_id = excluded.u_id')
    await rig.undoAll()
    assert.equal(await count(), 20)
    for (const step of rig.steps) {
      const { inEffect, foreign } = await rig.inspect(step)
      assert.deepEqual({ inEffect, foreign }, { inEffect: 0, foreign: 20 })
    }
  })

  const byHand = async ({ steps }: Rig): Promise<void> => {
    for (const { step } of steps) {
      const context = { mark: '', config: { connection_url: field.server.url() } }
      await runByHand(insertLoad.byHand(step as InsertStep, context).lines)
    }
  }

  test('what a person runs takes back pairs that the application has updated', async () => {
    const [{ table, update } = { table: '', update: '' }] = CASES
    await arrange(table)
    const rig = await applied()
    await field.server.sql(update)
    await byHand(rig)
    assert.equal(await count(), 0)
  })

  test('pairs of the application in a table that was made anew stay, by the undo and by hand', async () => {
    const [{ table } = { table: '' }] = CASES
    await arrange(table)
    const rig = await applied()
    const pairs = await field.server.sql('select u_id, post_id from m2m')
    await field.server.sql('drop table m2m')
    await field.server.sql(`create table m2m ${table}`)
    for (const { u_id: u, post_id: post } of pairs)
      await field.server.sql(`insert into m2m values (${String(u)}, ${String(post)}, true)`)
    await byHand(rig)
    assert.equal(await count(), 20)
    await rig.undoAll()
    assert.equal(await count(), 20)
    for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
  })
})
