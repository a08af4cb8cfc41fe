/** Whatever a user calls schemas, tables and columns: applied, undone, recovered from the journal, and put back by what psql is told, without a command of theirs. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { stuckRun } from '../../src/engine/stuck.ts'
import { database } from '../../src/targets/database/index.ts'
import { quoteIdent, quoteLiteral } from '../../src/targets/database/postgres/sql.ts'
import { runByHand } from '../fakes/by-hand.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { leftRun } from './forged/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'h-'))
const canary = join(folder, 'c')
const touch = `touch ${canary}`

/** At most 63 bytes each, as the server keeps them. */
const NAMES: readonly string[] = [
  ...[
    `it's "quoted"`,
    `"`,
    `'`,
    `''`,
    `back\\slash`,
    `\\`,
    `\\'`,
    `E'\\'`,
    `$$`,
    `$chaos$`,
    `$chaos$; $chaos$`,
    `$1`,
    `$1::text`,
  ],
  ...[
    `line\nbreak`,
    `line\r\nbreak`,
    `tab\there`,
    `\\! ${touch}`,
    `x\n\\! ${touch}\n`,
    `x";\n\\! ${touch}\n"`,
    `\\gexec`,
    `x \\gexec`,
  ],
  ...[
    `:x`,
    `:'x'`,
    `:"x"`,
    '`' + touch + '`',
    `$(${touch})`,
    `'; ${touch}; '`,
    `CHAOS`,
    `x\nCHAOS\n${touch}\n`,
    `CHAOS_`,
  ],
  ...[
    `--`,
    `/*`,
    `*/`,
    `; drop`,
    `a.b`,
    `.`,
    ` `,
    `%s`,
    `%I %L`,
    `{}`,
    `[0]`,
    `(x)`,
    `a,b`,
    `=`,
    `?`,
    `@x`,
    `#`,
    `# x`,
  ],
  ...[
    `select`,
    `user`,
    `table`,
    `null`,
    `order`,
    `ctid_`,
    `t`,
    `r`,
    `MixedCase`,
    `__proto__`,
    `constructor`,
    `toString`,
  ],
  ...[
    'é'.repeat(31) + 'x',
    '😀'.repeat(15),
    'x'.repeat(63),
    '\u202ereversed',
    '\u001b[2J',
    '\u200b',
    'a\u2028b',
    'i\u0307',
    '数据',
  ],
]

describe('hostile names', { timeout: 20 * 60_000 }, () => {
  let server: Postgres
  let tables: string[]
  let states = 0
  before(async () => {
    server = await startPostgres()
    const statements: string[] = []
    // Each name once; a table takes four of them: for its schema and itself, and for its columns.
    for (let at = 0; at < NAMES.length; at += 4) {
      const [name = '', ...others] = NAMES.slice(at, at + 4)
      const [a = '"a"', b = '"b"', c = '"c"'] = others.map(quoteIdent)
      const table = `${quoteIdent(name)}.${quoteIdent(name)}`
      // Three kinds of keys in turn: numbers, texts, and two columns.
      const [columns = '', values = ''] =
        [
          [`${a} serial primary key, ${b} text, ${c} text`, `100 + g, 'row ' || g, 'more ' || g`],
          [`${a} text primary key, ${b} text not null, ${c} int`, `'key ' || g, 'row ' || g, g`],
          [`${a} int, ${b} int, ${c} text, primary key (${a}, ${b})`, `g, g, 'row ' || g`],
        ][(at / 4) % 3] ?? []
      statements.push(`create schema ${quoteIdent(name)}`, `create table ${table} (${columns})`)
      statements.push(`insert into ${table} select ${values} from generate_series(1, 4) g`)
    }
    await server.sql(statements.join(';\n'))
    const rows = await server.sql(
      `select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as id from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname !~ '^(pg_|information_schema)' order by 1`,
    )
    tables = rows.map((row) => String(row['id']))
    assert.equal(tables.length, Math.ceil(NAMES.length / 4))
  })
  after(async () => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const differences = async (was: Awaited<ReturnType<typeof snapshot>>): Promise<string[]> =>
    diff(was, await snapshot(server.url())).filter((line) => !/^(session|sequence) /.test(line))

  const left = (skill: string, params: object) =>
    leftRun(skill, params, server.url(), join(folder, `state-${states++}`))

  const CASES: [string, () => object][] = [
    ['db.insert_load', () => ({ tables, rows_per_table: 3 })],
    ['db.update_load', () => ({ tables, rows: 3 * tables.length })],
    ['db.table_lock', () => ({ tables })],
    ['db.config_change', () => ({ changes: [{ param: 'log_line_prefix', value: `%m '"\\ :x $$ \\! ${touch}` }] })],
  ]
  for (const [skill, params] of CASES) {
    test(`${skill} is undone from its journal`, async () => {
      const was = await snapshot(server.url())
      const run = await left(skill, params())
      assert.match(run.outcome, /not now|enough/)
      const steps = (await run.state.runs.read(run.run)).steps
      assert.ok(
        steps.length > 0 && steps.every(({ state }) => state === 'applied'),
        `${run.outcome} ${JSON.stringify(steps.find(({ state }) => state !== 'applied'))}`,
      )
      if (/_load$/.test(skill)) assert.equal(new Set(steps.map(({ resource }) => resource)).size, tables.length)
      assert.deepEqual(await run.recover(), [])
      assert.deepEqual(await differences(was), [])
    })

    test(`${skill} is undone by what psql is told`, async () => {
      if (skill === 'db.config_change')
        await server.sql(`alter system set log_line_prefix = ${quoteLiteral(`'"\\ :y $1 $chaos$ \`${touch}\``)}`)
      await server.sql('select pg_reload_conf()')
      await delay(500)
      const was = await snapshot(server.url())
      const run = await left(skill, params())
      assert.match(run.outcome, /not now|enough/)
      const stuck = await stuckRun(run.state.runs, await run.state.runs.read(run.run), [database])
      assert.ok(stuck && stuck.steps.length > 0, run.outcome)
      for (const { by_hand, resource } of stuck.steps) {
        const said = await runByHand(by_hand.lines).catch((error: unknown) => String(error))
        assert.doesNotMatch(said, /^Error/, `${resource}\n${by_hand.lines.join('\n')}`)
        assert.equal(existsSync(canary), false, `${resource}\n${by_hand.lines.join('\n')}`)
      }
      assert.deepEqual(await differences(was), [])
      assert.deepEqual(await run.recover(), [])
    })
  }

  test('nothing of it was a command', () => assert.equal(existsSync(canary), false))
})
