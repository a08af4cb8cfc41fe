/** Every state in test/bad-state/states.yaml, made for real, against the table of what the built command must answer. */
import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { make, NOBODY, picture } from '../bad-state/make.ts'
import type { Making } from '../bad-state/make.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { Chaos } from './chaos.ts'
import type { Exit } from './chaos.ts'

interface Command {
  chaos: string
  exit: number
  /** Without it nothing is asked of the output but that it has no stack trace. */
  says?: string
  as?: 'nobody'
  env?: Record<string, string>
}

interface Row {
  state: string
  needs?: string
  make: Record<string, unknown>[]
  then: Command[]
  changes?: string[]
  removes?: string[]
  kept?: string[]
  undone?: boolean
  unharmed?: Record<string, string>
}

const folder = fileURLToPath(new URL('../bad-state/', import.meta.url))
const table = parse(readFileSync(join(folder, 'states.yaml'), 'utf8')) as Row[]
const isRoot = process.getuid?.() === 0
/** Ten times what the slowest command of the table takes, a minute and more under load. */
const HANGS_MS = 120_000

describe('bad states', { concurrency: 2, timeout: 15 * 60_000 }, () => {
  let server: Postgres
  let databases = 0

  before(async () => void (server = await startPostgres()))
  after(() => server.stop())

  for (const row of table) {
    const skip = row.needs?.includes('root') === true && !isRoot ? 'needs root' : false
    test(`${row.state}: ${row.then.map(({ chaos, exit }) => `${chaos} ends with ${exit}`).join(', ')}`, { skip }, (t) =>
      check(t, row),
    )
  }

  test('no state is in the table twice, and with the bad configurations there are at least 60', (t) => {
    assert.equal(new Set(table.map((row) => row.state)).size, table.length)
    const configurations = readdirSync(join(folder, '../bad-config')).filter((name) => name.endsWith('.yaml')).length
    assert.ok(table.length >= 30 && configurations + table.length >= 60)
    t.diagnostic(
      `${configurations} bad configurations and ${table.length} bad states, ${configurations + table.length} in all`,
    )
  })

  async function check(t: TestContext, row: Row): Promise<void> {
    const chaos = new Chaos()
    const database = row.needs?.includes('database') === true ? await newDatabase() : undefined
    const making = makingOf(t, chaos, database)
    const rows = database && (await rowsOf(database))
    await make(making, row.make)
    if (row.undone === true) assert.notDeepEqual(await rowsOf(database!), rows, 'the killed run has changed nothing')
    const made = picture(chaos.state)
    for (const command of row.then) await checkCommand(making, command)
    checkFiles(making, row, made)
    if (row.undone === true) assert.deepEqual(await rowsOf(database!), rows)
  }

  /** Each row its own, so that two rows do not meet on one target. */
  async function newDatabase(): Promise<string> {
    const name = `staging_${++databases}`
    for (const one of [name, `${name}_other`]) {
      await server.sql(`create database ${one}`)
      await server.sql(
        'create table things (id serial primary key, label text); insert into things (label) select i::text from generate_series(1, 20) i',
        one,
      )
    }
    return name
  }

  const rowsOf = (database: string) => server.sql('select * from things order by id', database)

  function makingOf(t: TestContext, chaos: Chaos, database: string | undefined): Making {
    // So that another user can get as far as the state folder.
    chmodSync(chaos.dir, 0o755)
    const urlOf = (name: string): string => (database === undefined ? UNREACHABLE : server.url(name))
    const real = configOf(chaos, urlOf(`${database}`))
    const other = configOf(chaos, urlOf(`${database}_other`))
    const words: Record<string, () => string> = {
      CONFIG: () => config,
      REAL: () => real,
      OTHER: () => other,
      TARGET: () => chaos.config({ connection_url: server.url(database) }),
      STATE: () => chaos.state,
      DIR: () => chaos.dir,
      RUN: () => making.run,
      NOW: () => new Date().toISOString(),
      LONG: () => 'x'.repeat(120),
      TOOLONG: () => 'x'.repeat(300),
    }
    const config = configOf(chaos, UNREACHABLE)
    const undo: (() => void | Promise<void>)[] = []
    t.after(async () => {
      for (const step of undo.reverse()) await step()
      chaos.remove()
    })
    const making: Making = {
      ...{ chaos, run: '260101t000000abcd', lasting: configOf(chaos, urlOf(`${database}`), '5m') },
      fill: (text) => text.replaceAll(/\b[A-Z]{3,}\b/g, (word) => words[word]?.() ?? word),
      after: (step) => void undo.push(step),
    }
    return making
  }
})

const UNREACHABLE = 'postgres://nobody@127.0.0.1:1/staging'

/** Due once a year. */
function configOf(chaos: Chaos, url: string, duration = '300ms'): string {
  const experiment = {
    ...{ name: 'never run', target: 'database', target_config: { connection_url: url }, duration },
    skills: [{ skill_name: 'db.insert_load', params: { tables: ['things'], rows_per_table: 30 } }],
  }
  return chaos.config(stringify({ experiments: [{ experiment, schedule: '0 0 3 1 1 *' }] }))
}

async function checkCommand(making: Making, { chaos: command, exit, says, ...how }: Command): Promise<void> {
  const { code, out, err } = await run(making, command.split(' ').map(making.fill), how)
  const said = `${out}\n${err}`
  const what = `chaos ${command}\n${said}`
  assert.equal(code, exit, what)
  if (says !== undefined) assert.match(said, new RegExp(patternOf(making, says), 's'), what)
  assert.doesNotMatch(said, /^ +at .*[:<].*[>)\d]$|node:internal/m, what)
  assert.doesNotMatch(said, /\bundefined\b|\[object Object\]|\bNaN\b|TypeError|SyntaxError/, what)
  assert.doesNotMatch(said, /hunter2/, what)
}

/** A daemon that becomes ready is told to stop: its exit code is that of the stop. */
async function run(making: Making, args: string[], options: Pick<Command, 'as' | 'env'>): Promise<Exit> {
  const user = options.as === 'nobody' ? { uid: NOBODY, gid: NOBODY } : {}
  const running = making.chaos.start(args, options.env ?? {}, user)
  const late = setTimeout(() => running.child.kill('SIGKILL'), HANGS_MS)
  const stop = (text: string): void => {
    if (text.includes('"daemon.ready"')) running.child.kill('SIGTERM')
  }
  running.child.stdout?.on('data', stop)
  try {
    return await running.exit
  } finally {
    clearTimeout(late)
  }
}

/** Patterns are written with the words of the table in them; what these stand for is text. */
function patternOf(making: Making, says: string): string {
  return says.replaceAll(/\b[A-Z]{3,}\b/g, (word) => making.fill(word).replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
}

function checkFiles(making: Making, row: Row, made: Record<string, string>): void {
  const { chaos, run } = making
  const named = (names: string[] = []): string[] => names.map((name) => name.replaceAll('RUN', run))
  const now = picture(chaos.state)
  const mayChange = row.undone === true ? Object.keys(made) : [...named(row.changes), ...named(row.removes)]
  for (const [name, content] of Object.entries(made)) {
    if (content === 'folder' || mayChange.includes(name)) continue
    assert.equal(now[name], content, `${name} is not what it was`)
  }
  for (const [path, text] of Object.entries(row.unharmed ?? {}))
    assert.equal(readFileSync(join(chaos.state, path), 'utf8'), text, `${path} was written`)
  for (const start of named(row.kept)) {
    const found = Object.keys(now).find((name) => name.startsWith(start))
    assert.ok(found, `nothing is kept as ${start}…: ${Object.keys(now).join(', ')}`)
    assert.equal(now[found], made[start.replace('.damaged-', '')], `${found} is not what was damaged`)
  }
}
