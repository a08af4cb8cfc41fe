/** Steps of version 1 had the size of a type as PostgreSQL packs it (`typmod`): this version still undoes them, by what it makes of it. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { markOf } from '../../src/core/skill.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { insertLoad, updateLoad } from '../labs/postgres-skills.ts'

/** Types whose size is said, and which the undo looks at. */
const SCHEMA = `
  drop table if exists sized;
  create table sized (id int generated always as identity primary key, name varchar(40), code char(12), price numeric(12, 3),
    at timestamp(3), flags bit(20), seen int not null default 0);
  insert into sized (name, code, price, at, flags)
    select 'name ' || i, 'code ' || i, i + 0.125, timestamp '2024-05-06 07:08:09.123', i::bit(20) from generate_series(1, 20) i`

describe('a step of version 1', () => {
  let server: Postgres
  before(async () => void (server = await startPostgres()))
  after(() => server.stop())

  const open = (skill: typeof insertLoad | typeof updateLoad, params: object): Promise<Rig> =>
    openRig({
      ...{ skill, params },
      connect: (options) =>
        connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, [skill], options),
    })

  const contents = () => server.sql('select id, name, code, price, at, flags from sized order by id')

  /** The first step of the rig as version 1 would have written it; it was applied with the very same values. */
  async function asVersion1(rig: Rig): Promise<object> {
    const typmods = (await server.sql(
      `select attname as name, atttypmod as typmod from pg_attribute where attrelid = 'sized'::regclass and attnum > 0`,
    )) as { name: string; typmod: number }[]
    const old = (_: string, value: unknown): unknown => {
      if (typeof value !== 'object' || value === null || !('name' in value)) return value
      const { source, value: type } = value as { source?: { type?: object }; value?: object }
      const typmod = typmods.find(({ name }) => name === value.name)?.typmod
      const packed = (now: object): object => {
        const { name, labels } = now as { name: string; labels?: string[] }
        return { name, typmod, ...(labels ? { labels } : {}) }
      }
      if (source?.type) return { ...value, source: { ...source, type: packed(source.type) } }
      return type ? { ...value, value: packed(type) } : value
    }
    const step = JSON.parse(JSON.stringify(rig.steps[0]!.step, old)) as object
    assert.match(JSON.stringify(step), /"typmod":44/)
    assert.doesNotMatch(JSON.stringify(step), /"(length|precision|scale)"/)
    return step
  }

  async function undo({ agent, install, run, signal }: Rig, skill: string, step: object): Promise<void> {
    const ctx = { version: 1, mark: markOf(install, run, 1), clock: systemClock, signal }
    assert.ok((await agent.inspect(skill, step, ctx)).inEffect > 0)
    await agent.revert(skill, step, { ...ctx, progress: () => Promise.resolve() })
    assert.equal((await agent.inspect(skill, step, ctx)).inEffect, 0)
  }

  test('of db.insert_load: the rows are deleted, known by their values alone since the application has updated them', async () => {
    await server.sql(SCHEMA)
    const before = await contents()
    const rig = await open(insertLoad, { tables: ['sized'], rows_per_table: 30 })
    try {
      await rig.applyAll()
      await server.sql('update sized set seen = seen + 1')
      await undo(rig, 'db.insert_load', await asVersion1(rig))
      assert.deepEqual(await contents(), before)
    } finally {
      await rig.close()
    }
  })

  test('of db.update_load: the values are back', async () => {
    await server.sql(SCHEMA)
    const before = await contents()
    const rig = await open(updateLoad, { tables: ['sized'], columns: ['name', 'price', 'at'], rows: 10 })
    try {
      await rig.applyAll()
      assert.notDeepEqual(await contents(), before)
      await undo(rig, 'db.update_load', await asVersion1(rig))
      assert.deepEqual(await contents(), before)
    } finally {
      await rig.close()
    }
  })
})
