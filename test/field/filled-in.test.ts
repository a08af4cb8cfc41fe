/** D22: values that `${VAR}` and `${file:…}` fill in show in nothing that a command says or keeps. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { Chaos } from '../e2e/chaos.ts'

const SECRET =
  'Zebra-Canary:x:0:0:/root\nQuokka-Canary:x:1:1:/usr/sbin/and-a-line-that-is-longer-than-a-name-of-the-server-may-be'

describe('D22: filled-in values', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let chaos: Chaos
  before(async () => {
    server = await startPostgres()
    await server.sql('create table walrus_orders (id serial primary key, note text)')
    await server.sql(`insert into walrus_orders (note) select 'n' from generate_series(1, 50)`)
  })
  after(() => server.stop())
  beforeEach(() => {
    chaos = new Chaos()
    writeFileSync(join(chaos.dir, 'secret'), `${SECRET}\n`)
  })
  afterEach(() => chaos.remove())

  const experiment = (skill: string, params: object, more: object = {}): object => ({
    ...{ name: 'x', target: 'database', target_config: { connection_url: server.url() }, duration: '1s' },
    ...{ skills: [{ skill_name: skill, params }], limits: { percent: 100 }, ...more },
  })
  /** Everything that was said and written, in one text. */
  const everything = async (...runs: string[][]): Promise<string> => {
    let all = ''
    for (const args of runs) {
      const { code, out, err } = await chaos.run(args, { T: 'walrus_orders', W: 'Walrus-Canary', M: '7771kB' })
      all += `$ ${args.join(' ')}: ${code}\n${out}${err}`
    }
    const state = statSync(chaos.state, { throwIfNoEntry: false }) ? readdirSync(chaos.state, { recursive: true }) : []
    for (const name of state.map(String)) {
      const path = join(chaos.state, name)
      if (statSync(path).isFile()) all += readFileSync(path, 'utf8')
    }
    return all
  }
  const commands = (file: string): string[][] => [
    ...[
      ['discover', file],
      ['run', file, '--dry-run'],
      ['run', file],
      ['report', '--last'],
    ],
  ]

  for (const [what, given] of Object.entries({
    'a table': () => experiment('db.insert_load', { tables: ['${file:secret}'] }),
    'a table by a variable': () => experiment('db.update_load', { tables: ['${W}'] }),
    'a qualified table': () => experiment('db.table_lock', { tables: ['${W}.${W}'] }),
    'a setting': () => experiment('db.config_change', { changes: [{ param: '${file:secret}', value: '1' }] }),
    'the value of a setting': () =>
      experiment('db.config_change', { changes: [{ param: 'work_mem', value: '${file:secret}' }] }),
    'a filter': () => experiment('db.insert_load', {}, { resource_filters: ['${W}'] }),
    'a skill': () => experiment('${W}', {}),
    'a host': () =>
      experiment('db.insert_load', {}, { target_config: { connection_url: 'postgres://u@${W}.invalid/shop' } }),
    'a role': () =>
      experiment(
        'db.insert_load',
        {},
        {
          target_config: { connection_url: server.url().replace('postgres@', '${W}@') },
        },
      ),
    'a schema': () =>
      experiment('db.insert_load', {}, { target_config: { connection_url: server.url(), schemas: ['${W}'] } }),
  })) {
    test(`${what} that is not there`, async () => {
      const said = await everything(...commands(chaos.config({ experiments: [given()] })))
      assert.ok(!/canary/i.test(said), said)
    })
  }

  test('what is there and is used is named by its expression, in the plan, in the run, in its report and its journal', async () => {
    const file = chaos.config({
      experiments: [experiment('db.config_change', { changes: [{ param: 'work_mem', value: '${M}' }] })],
    })
    const said = await everything(['run', file, '--dry-run'], ['run', file], ['report', '--last'])
    assert.match(said, /work_mem.*\$\{M\}/)
    assert.ok(!said.includes('7771'), said)
    const { out } = await chaos.run(
      ['run', chaos.config({ experiments: [experiment('db.insert_load', { tables: ['${T}'], rows_per_table: 3 })] })],
      { T: 'walrus_orders' },
    )
    assert.match(out, /insert 3 rows into public\.\$\{T\}/)
    assert.match(out, /residue 0/)
  })
})
