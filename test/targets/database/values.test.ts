/** Made-up values, checked by the server that has to take them. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { seededRandom } from '../../../src/core/random.ts'
import { loadCatalog } from '../../../src/targets/database/postgres/catalog/tables.ts'
import type { Column } from '../../../src/targets/database/rows/facts.ts'
import { PostgresClient } from '../../../src/targets/database/postgres/client.ts'
import {
  formFor,
  formsOf,
  manyValued,
  maker,
  room,
  wildMaker,
} from '../../../src/targets/database/rows/values/value.ts'
import { startPostgres } from '../../labs/embedded-postgres.ts'
import type { Postgres } from '../../labs/embedded-postgres.ts'

const TYPES = [
  ...[
    'smallint',
    'integer',
    'bigint',
    'numeric',
    'numeric(12,2)',
    'numeric(4)',
    'numeric(3,3)',
    'numeric(30,10)',
    'numeric(5,-2)',
  ],
  ...[
    'real',
    'double precision',
    'boolean',
    'text',
    'varchar',
    'varchar(1)',
    'varchar(5)',
    'varchar(11)',
    'varchar(20)',
    'char(3)',
  ],
  ...[
    'char(40)',
    'name',
    'date',
    'time',
    'timetz',
    'timestamp',
    'timestamptz',
    'timestamp(0)',
    'interval',
    'uuid',
    'json',
    'jsonb',
  ],
  ...[
    'bytea',
    'inet',
    'cidr',
    'macaddr',
    'macaddr8',
    'oid',
    'mood',
    'short_text',
    'int4range',
    'int8range',
    'numrange',
    'daterange',
  ],
  ...[
    'tsrange',
    'tstzrange',
    'text[]',
    'integer[]',
    'mood[]',
    'varchar(12)[]',
    'timestamptz[]',
    'jsonb[]',
    'bytea[]',
    'boolean[]',
  ],
]

describe('made-up values', () => {
  let server: Postgres
  let client: PostgresClient
  let columns: Column[]
  before(async () => {
    server = await startPostgres()
    await server.sql(`create type mood as enum ('a b', 'c"d', 'e\\f', '{,}'); create domain short_text as varchar(9);
      create table typed (${TYPES.map((type, i) => `c${i} ${type}`).join(', ')}, odd aclitem, odder refcursor[], x public.mood[])`)
    client = await PostgresClient.connect({
      connectionUrl: server.url(),
      mark: 'chaos-t-t-0',
      signal: AbortSignal.timeout(60_000),
    })
    const catalog = await loadCatalog(client, [{ id: 'public.typed', schema: 'public', table: 'typed' }])
    columns = catalog.get('public.typed')?.columns ?? []
  })
  after(async () => {
    await client.close()
    await server.stop()
  })

  /** How many different values the server sees. Fails where it does not take one. */
  async function accepted(column: Column, values: string[]): Promise<number> {
    const rows = await client.query<{ n: string }>(
      `select count(distinct v::${column.type}::text)::text as n from unnest($1::text[]) as u(v)`,
      [values],
    )
    return Number(rows[0]?.n)
  }

  test('are taken by their type in every form, and differ where they must', async () => {
    for (const [i, type] of TYPES.entries()) {
      const column = columns[i]!
      const forms = formsOf(column.value)
      assert.ok(forms.length > 0, `${type} can be made`)
      for (const form of forms) {
        for (const unique of [false, true]) {
          const make = maker({ type: column.value, form, unique, run: 'zz9abc' }, seededRandom(type))
          const values = Array.from({ length: 200 }, (_, n) => make(n))
          const different = await accepted(column, values)
          if (!unique || form !== forms[0]) continue
          assert.ok(different >= Math.min(200, room(column.value)), `${type}: ${different} different values`)
        }
      }
    }
  })

  test('are not longer than their column', () => {
    for (const column of columns.filter((c) => /character/.test(c.type) && !c.value.array)) {
      const longest = Number(/\((\d+)\)/.exec(column.type)?.[1] ?? Infinity)
      for (const form of formsOf(column.value)) {
        for (const unique of [false, true]) {
          const make = maker({ type: column.value, form, unique, run: 'abcdef' }, seededRandom(form))
          for (const n of [0, 1, 999, 1_000_000])
            assert.ok(make(n).length <= longest, `${column.type} ${form}: ${make(n)}`)
        }
      }
    }
  })

  test('say where they come from, where there is room, and mail goes nowhere', () => {
    const text = { name: 'varchar', length: 40 }
    assert.equal(formFor(text, 'contact_email'), 'mail')
    const mail = maker({ type: text, form: 'mail', unique: true, run: 'abcdef' }, seededRandom('x'))(7)
    assert.match(mail, /^chaos-[a-z0-9]+@example\.invalid$/)
    assert.match(maker({ type: text, form: 'plain', unique: false, run: 'abcdef' }, seededRandom('x'))(7), /^chaos-/)
  })

  test('that are to be told from everybody’s are all different, and taken too', async () => {
    for (const [i, type] of TYPES.entries()) {
      const column = columns[i]!
      if (!manyValued(column.value)) continue
      const make = wildMaker(column.value, seededRandom(type))
      assert.equal(await accepted(column, Array.from({ length: 500 }, make)), 500, type)
    }
    const small = ['smallint', 'boolean', 'numeric(4)', 'varchar(5)', 'char(3)', 'date', 'mood', 'text[]', 'interval']
    for (const type of small) assert.equal(manyValued(columns[TYPES.indexOf(type)]!.value), false, type)
  })

  test('of types that nobody thought of are not made, but for empty arrays of them', () => {
    const column = (name: string): Column => columns.find((c) => c.name === name)!
    assert.deepEqual(formsOf(column('odd').value), [])
    const spec = { type: column('odder').value, form: 'any', unique: false, run: 'zz9abc' }
    assert.equal(maker(spec, seededRandom('odder'))(0), '{}')
  })
})
