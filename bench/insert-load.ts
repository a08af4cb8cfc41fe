/** db.insert_load beside plain COPY fed by the same row generator, and its undo beside one DELETE of the same range. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { startPostgres } from '../scripts/embedded-postgres.ts'
import { systemClock } from '../src/core/clock.ts'
import { seededRandom } from '../src/core/random.ts'
import { markOf } from '../src/core/skill.ts'
import type { Agent } from '../src/core/target.ts'
import { database } from '../src/targets/database/index.ts'
import { copyText } from '../src/targets/database/postgres/copy-text.ts'
import { makeRows } from '../src/targets/database/rows/batch.ts'
import type { InsertStep } from '../src/targets/database/rows/insert-step.ts'
import { quoteIdent } from '../src/targets/database/postgres/sql.ts'
import { interleave } from './measure.ts'
import type { Comparison } from './measure.ts'

const SKILL = 'db.insert_load'
const VERSION = database.skills.find(({ name }) => name === SKILL)?.version ?? 0
const ROWS = 100_000
const ROUNDS = 7

const TABLE = `create table load (id bigint generated always as identity primary key, email text not null,
  name varchar(60), amount numeric(10, 2) not null, active boolean, created_at timestamptz not null default now())`

/** Rows per second. */
interface Rates {
  insert: number
  undo: number
}

export async function insertLoad(): Promise<Comparison[]> {
  // A vacuum that happens to run would be in one side's round and not in the other's.
  const postgres = await startPostgres({ settings: { autovacuum: 'off', max_wal_size: '4GB' } })
  const plain = new pg.Client({ connectionString: postgres.url() })
  plain.on('error', () => undefined)
  let agent: Agent | undefined
  try {
    await postgres.sql(TABLE)
    await plain.connect()
    agent = await database.connect(database.config.parse({ connection_url: postgres.url() }), CONNECTION)
    const connected = agent
    const steps = await planSteps(agent)
    const { ours, copy } = await interleave(
      { ours: () => runSkill(connected, plain, steps), copy: () => runCopy(plain, steps) },
      { rounds: ROUNDS },
    )
    return [
      {
        title: `insert-load: inserting ${ROWS.toLocaleString('en-US')} rows`,
        unit: 'rows/s',
        better: 'higher',
        ours: { label: `${SKILL} (${steps.length} batches)`, values: ours.map((rates) => rates.insert) },
        peers: [{ label: 'one COPY of the same rows', values: copy.map((rates) => rates.insert) }],
        meaning: 'What it costs to know the key of every row before COMMIT, and to commit batch by batch.',
      },
      {
        title: `insert-load: undoing ${ROWS.toLocaleString('en-US')} rows`,
        unit: 'rows/s',
        better: 'higher',
        ours: { label: `${SKILL}, undo`, values: ours.map((rates) => rates.undo) },
        peers: [{ label: 'one DELETE of the same range', values: copy.map((rates) => rates.undo) }],
        meaning: 'What it costs to undo in small transactions that look for references to our rows.',
      },
    ]
  } finally {
    await agent?.close()
    await plain.end()
    await postgres.stop('immediate')
  }
}

const CONNECTION = { install: 'bench', run: 'bench', clock: systemClock, signal: new AbortController().signal }

async function planSteps(agent: Agent): Promise<InsertStep[]> {
  const { signal } = CONNECTION
  const { resources } = await agent.discover(signal)
  const plan = await agent.plan(
    SKILL,
    { tables: ['load'], rows_per_table: ROWS },
    {
      resources,
      all: resources,
      taken: new Set(),
      mayPick: () => Infinity,
      soakMs: 0,
      random: seededRandom('bench'),
      signal,
    },
  )
  return plan.steps.map(({ step }) => step as InsertStep)
}

/** As the engine does it, but for its journal, which has a benchmark of its own. */
async function runSkill(agent: Agent, plain: pg.Client, steps: readonly InsertStep[]): Promise<Rates> {
  await plain.query('truncate load')
  const { clock, signal } = CONNECTION
  const context = (i: number) => ({
    ...{ version: VERSION, mark: markOf(CONNECTION.install, CONNECTION.run, i + 1), clock, signal },
  })
  const applied: object[] = []
  const insert = await rate(async () => {
    for (const [i, step] of steps.entries()) {
      const record = (facts: object): Promise<void> => {
        applied.push({ ...step, ...facts })
        return Promise.resolve()
      }
      await agent.apply(SKILL, step, { ...context(i), heldMs: 0, record, hold: () => undefined })
    }
  })
  await expectRows(plain, ROWS)
  const undo = await rate(async () => {
    for (const [i, step] of [...applied.entries()].reverse()) {
      await agent.revert(SKILL, step, { ...context(i), progress: () => Promise.resolve() })
    }
  })
  await expectRows(plain, 0)
  return { insert, undo }
}

async function runCopy(plain: pg.Client, steps: readonly InsertStep[]): Promise<Rates> {
  await plain.query('truncate load')
  const columns = steps[0]?.recipe.columns.map(({ name }) => quoteIdent(name)).join(', ') ?? ''
  const insert = await rate(() =>
    pipeline(Readable.from(copyText(allRows(steps))), plain.query(copyFrom(`copy load (${columns}) from stdin`))),
  )
  await expectRows(plain, ROWS)
  const range = await plain.query<{ least: string; most: string }>('select min(id) as least, max(id) as most from load')
  const undo = await rate(() =>
    plain.query('delete from load where id between $1 and $2', [range.rows[0]?.least, range.rows[0]?.most]),
  )
  await expectRows(plain, 0)
  return { insert, undo }
}

function* allRows(steps: readonly InsertStep[]): ReturnType<typeof makeRows> {
  for (const step of steps) yield* makeRows(step.recipe, step, [])
}

async function rate(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return ROWS / ((performance.now() - begun) / 1_000)
}

/** A fast side that did less than its work would be no side at all. */
async function expectRows(plain: pg.Client, expected: number): Promise<void> {
  const { rows } = await plain.query<{ n: number }>('select count(*)::int as n from load')
  if (rows[0]?.n !== expected) throw new Error(`there are ${rows[0]?.n ?? 'no'} rows instead of ${expected}`)
}
