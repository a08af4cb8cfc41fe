/** D3: rows of join tables, whose key is that of their parents, that the application has updated in the soak. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { connectPostgres } from '../../src/targets/database/agent.ts'
import { insertLoad } from '../../src/targets/database/skills/insert_load.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig, SkillCase } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

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
    title: 'a pair that is written over with what it has',
    table: `(${REFERENCES.slice(0, 2).join(', ')}, primary key (u_id, post_id))`,
    update: 'select 1',
  },
]

describe('D3: rows of join tables are taken back', () => {
  let server: Postgres
  const rigs: Rig[] = []
  before(async () => void (server = await startPostgres()))
  after(() => server.stop())
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.close()
  })
  const connect: SkillCase['connect'] = (options) =>
    connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, [insertLoad], options)
  const arrange = async (table: string): Promise<void> => {
    await server.sql(`drop table if exists m2m, ${PARENTS.join(', ')} cascade`)
    for (const name of PARENTS) {
      await server.sql(`create table ${name} (id serial primary key, n text)`)
      await server.sql(`insert into ${name} (n) select '${name}' || g from generate_series(1, 50) g`)
    }
    await server.sql(`create table m2m ${table}`)
  }
  const applied = async (): Promise<Rig> => {
    const rig = await openRig({ skill: insertLoad, params: { tables: ['m2m'], rows_per_table: 20 }, connect })
    rigs.push(rig)
    await rig.plan()
    await rig.applyAll()
    return rig
  }
  const count = async (): Promise<number> => (await server.sql('select from m2m')).length

  for (const { title, table, update } of CASES) {
    test(title, async () => {
      await arrange(table)
      const rig = await applied()
      assert.equal(await count(), 20)
      await server.sql(update)
      await rig.undoAll()
      for (const step of rig.steps) {
        const { inEffect, foreign } = await rig.inspect(step)
        assert.deepEqual({ inEffect, foreign }, { inEffect: 0, foreign: 0 })
      }
      assert.equal(await count(), 0)
    })
  }

  test('pairs of the application in a table that was made anew stay', async () => {
    const [{ table } = { table: '' }] = CASES
    await arrange(table)
    const rig = await applied()
    const pairs = await server.sql('select u_id, post_id from m2m')
    await server.sql('drop table m2m')
    await server.sql(`create table m2m ${table}`)
    for (const { u_id: u, post_id: post } of pairs)
      await server.sql(`insert into m2m values (${String(u)}, ${String(post)}, true)`)
    await rig.undoAll()
    assert.equal(await count(), 20)
    for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
  })
})
