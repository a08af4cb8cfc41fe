/** F1: a hostile owner combines functions, domains, types, indexes and policies: none of her functions runs as our role, whatever we do. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { seededRandom } from '../../src/core/random.ts'
import type { Random } from '../../src/core/random.ts'
import type { SkillInfo } from '../../src/core/skill.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { insertLoad, updateLoad } from '../labs/postgres-skills.ts'
import { openRig } from '../contract/skill.ts'
import type { Rig } from '../contract/skill.ts'
import { seedOfCommit } from '../seed.ts'
import { planOf, surveyOf } from './looking.ts'
import { startHostile } from './hostile.ts'
import type { Hostile } from './hostile.ts'

/** `CHAOS_SCHEMAS=2000` where somebody has half an hour. */
const SCHEMAS = Number(process.env['CHAOS_SCHEMAS'] ?? 20)
const SEED = process.env['CHAOS_SEED'] ?? seedOfCommit()
/** Looked at together, since discover looks at a whole database. */
const BATCH = 10

/** What a table gets: types that come first, columns and constraints, and statements behind it. `n` is unlike any other. */
interface Part {
  types?: string
  column?: string
  after?: string
}
type Draw = (schema: string, table: string, n: number) => Part

const PARTS: Record<string, Draw> = {
  check: (_, __, n) => ({ column: `a${n} int check (m.ok(a${n}))` }),
  'harmless check': (_, __, n) => ({ column: `a${n} text check (length(a${n}) < 100)` }),
  domain: (s, _, n) => ({ types: `create domain ${s}.d${n} as int check (m.ok(value))`, column: `a${n} ${s}.d${n}` }),
  'harmless domain': (s, _, n) => ({
    types: `create domain ${s}.d${n} as int check (value > 0)`,
    column: `a${n} ${s}.d${n}`,
  }),
  'domain of a domain': (s, _, n) => ({
    types: `create domain ${s}.d${n} as text check (m.ok(value)); create domain ${s}.e${n} as ${s}.d${n}`,
    column: `a${n} ${s}.e${n}`,
  }),
  array: (s, _, n) => ({ types: `create domain ${s}.d${n} as int check (m.ok(value))`, column: `a${n} ${s}.d${n}[]` }),
  composite: (s, _, n) => ({
    types: `create domain ${s}.d${n} as int check (m.ok(value)); create type ${s}.c${n} as (x int, y ${s}.d${n})`,
    column: `a${n} ${s}.c${n}`,
  }),
  range: (s, _, n) => ({
    types: `create domain ${s}.d${n} as int check (m.ok(value)); create type ${s}.r${n} as range (subtype = ${s}.d${n})`,
    column: `a${n} ${s}.r${n}`,
  }),
  'default of a domain': (s, _, n) => ({
    types: `create domain ${s}.d${n} as int default m.bad(1)`,
    column: `a${n} ${s}.d${n}`,
  }),
  cast: (s, _, n) => ({
    types: `create type ${s}.m${n} as enum ('a', 'b'); create function ${s}.f${n}(${s}.m${n}) returns text language plpgsql as $$ begin perform m.tell('cast'); return 'a'; end $$;
      create cast (${s}.m${n} as text) with function ${s}.f${n}(${s}.m${n}) as assignment`,
    column: `a${n} ${s}.m${n}`,
  }),
  generated: (_, __, n) => ({ column: `a${n} text generated always as (m.txt(name)) stored` }),
  default: (_, __, n) => ({ column: `a${n} int default m.bad(1)` }),
  operator: (s, _, n) => ({
    types: `create operator ${s}.=== (leftarg = int, rightarg = int, function = m.same)`,
    column: `a${n} int check (a${n} operator(${s}.===) a${n})`,
  }),
  index: (_, t) => ({ after: `create index on ${t} (m.txt(name))` }),
  'unique index': (_, t) => ({ after: `create unique index on ${t} (m.bad(id))` }),
  'partial index': (_, t) => ({ after: `create index on ${t} (name) where m.ok(name)` }),
  constant: (_, t) => ({ after: `create index on ${t} ((id + m.bad(1)))` }),
  'harmless index': (_, t) => ({ after: `create index on ${t} (lower(name))` }),
  statistics: (s, t, n) => ({ after: `create statistics ${s}.s${n} on (m.bad(id)), name from ${t}` }),
  policy: (_, t, n) => ({
    after: `create policy p${n} on ${t} using (m.ok(name)); alter table ${t} enable row level security`,
  }),
  trigger: (_, t, n) => ({
    after: `create trigger t${n} before insert or update or delete on ${t} for each row execute function m.fire()`,
  }),
  sql: (_, __, n) => ({ column: `a${n} text check (query_to_xml('select m.bad(1)', true, true, '') is not null)` }),
  nothing: () => ({}),
}
/** What she adds during the soak: all that needs no new column, and checks. */
const LATER = ['index', 'partial index', 'constant', 'statistics', 'policy', 'trigger', 'nothing', 'nothing'] as const

describe('a hostile owner', { timeout: (15 + SCHEMAS / 10) * 60_000 }, () => {
  let lab: Hostile
  before(async () => {
    lab = await startHostile()
    await lab.fresh()
  })
  after(() => lab.stop())

  const count = { tables: 0, applied: 0, undone: 0, kept: 0, refusedUndo: 0 }
  let n = 0

  const create = async (schema: string, random: Random, role: string): Promise<string[]> => {
    await lab.mallory(`create schema ${schema}; grant usage on schema ${schema} to ${role}`)
    const tables: string[] = []
    for (let i = 0; i <= random.int(3); i++) {
      const table = `${schema}.t${i}`
      const drawn = Array.from(
        { length: random.int(3) },
        () => PARTS[random.pick(Object.keys(PARTS)) ?? '']?.(schema, table, n++) ?? {},
      )
      const [parent] = tables
      const columns = [
        ...['id int primary key', 'name text'],
        ...drawn.flatMap(({ column }) => column ?? []),
        ...(parent !== undefined && random.int(3) === 0 ? [`p int references ${parent}`] : []),
      ]
      try {
        await lab.mallory(
          [
            ...drawn.flatMap(({ types }) => types ?? []),
            `create table ${table} (${columns.join(', ')})`,
            ...drawn.flatMap(({ after: then }) => then ?? []),
            `grant all on ${table} to ${role}`,
            `insert into ${table} (id, name) select i, 'some text ' || i from generate_series(1, 3) i`,
          ].join(';\n'),
        )
        tables.push(table)
      } catch {
        // Two parts of one name: another table then.
      }
    }
    return tables
  }
  const open = (skill: SkillInfo, role: string, run?: string): Promise<Rig> =>
    openRig(
      {
        skill,
        params: skill === insertLoad ? { rows_per_table: 2 } : { rows: 100 },
        connect: (options) =>
          connectPostgres(
            { connection_url: lab.server.url('postgres', role), db_type: 'postgres', schemas: [] },
            [insertLoad, updateLoad],
            options,
          ),
      },
      run,
    )
  const undo = async (rig: Rig): Promise<void> => {
    for (const step of [...rig.steps].reverse()) {
      await rig.inspect(step).catch(() => undefined)
      await rig.revert(step).then(
        () => count.undone++,
        () => count.refusedUndo++,
      )
      await rig.inspect(step).catch(() => undefined)
    }
  }

  test(`in ${SCHEMAS} drawn schemas none of her functions runs as our role in discover, dry run, run, undo or recover`, async () => {
    const random = seededRandom(SEED)
    for (let done = 0; done < SCHEMAS; done += BATCH) {
      const role = (done / BATCH) % 2 === 0 ? 'postgres' : 'rower'
      const schemas = Array.from({ length: Math.min(BATCH, SCHEMAS - done) }, (_, i) => `h${done + i}`)
      const tables: string[] = []
      for (const schema of schemas) tables.push(...(await create(schema, random, role)))
      count.tables += tables.length
      assert.deepEqual(lab.callsAs(role), [], 'the arrangement is her own doing')
      const url = lab.server.url('postgres', role)
      await surveyOf(url)
      for (const skill of ['db.insert_load', 'db.update_load']) await planOf(url, { skill }).catch(() => undefined)
      assert.deepEqual(lab.callsAs(role), [], `discover and dry run, seed ${SEED}, schemas from ${done}`)
      for (const skill of [insertLoad, updateLoad]) {
        const rig = await open(skill, role)
        await rig.plan()
        for (const step of rig.steps)
          await rig.apply(step).then(
            () => count.applied++,
            () => undefined,
          )
        assert.deepEqual(lab.callsAs(role), [], `run, seed ${SEED}, schemas from ${done}`)
        for (const { planned } of rig.steps) {
          const [schema = ''] = planned.resource.split('.')
          const { after: then } = PARTS[random.pick([...LATER]) ?? '']?.(schema, planned.resource, n++) ?? {}
          if (then !== undefined) await lab.mallory(then).catch(() => undefined)
        }
        await undo(rig)
        await rig.close()
        const recovery = await open(skill, role, rig.run)
        recovery.adopt(rig.steps)
        await undo(recovery)
        await recovery.close()
        assert.deepEqual(lab.callsAs(role), [], `undo and recover, seed ${SEED}, schemas from ${done}`)
      }
      await lab.server.sql(`drop schema ${schemas.join(', ')} cascade`)
    }
    console.log(
      `${SCHEMAS} drawn schemas, ${count.tables} tables: ${count.applied} steps applied, ${count.undone} times undone, ` +
        `${count.refusedUndo} times not undone for code that came in; calls of her functions as our role: 0`,
    )
    assert.ok(count.applied > SCHEMAS / 20, 'enough was served for this to say something')
  })
})
