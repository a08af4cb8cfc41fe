/** The contract is attacked too: skills that are wrong in ways that were once tried, each of which it must find by a promise of its own. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { seededRandom } from '../../src/core/random.ts'
import type { AnySkill } from '../../src/core/target.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import type { DbClient, DbReader } from '../../src/targets/database/client.ts'
import { tableLock, updateLoad } from '../labs/postgres-skills.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { namesakes } from './namesakes.ts'
import { PROMISES } from './promises.ts'
import type { SkillCase } from './skill.ts'
import { tryPromise } from './trial.ts'

type Skill = AnySkill<DbReader, DbClient>

const lock: Skill = tableLock
const update: Skill = updateLoad

/** What is wrong, the right skill it was made from, and the promise that finds it, with what is said. */
const WRONG: readonly { wrong: string; right: Skill; skill: Skill; promise: string; says: RegExp }[] = [
  {
    wrong: 'a revert that does nothing',
    right: lock,
    skill: { ...lock, revert: () => Promise.resolve() },
    promise: 'the undo alone takes it back',
    says: /2 !== 0/,
  },
  {
    wrong: 'a session that nobody is told to hold',
    right: lock,
    skill: { ...lock, apply: (ctx, step) => lock.apply({ ...ctx, hold: () => undefined }, step) },
    promise: 'what is held is handed over',
    says: /hands nothing to hold/,
  },
  {
    wrong: 'Math.random() for the seed',
    right: update,
    skill: {
      ...update,
      plan: (ctx, params) => update.plan({ ...ctx, random: seededRandom(Math.random()) }, params),
    },
    promise: 'the same seed plans the same steps',
    says: /"seed"/,
  },
  {
    wrong: 'no fail-safe',
    right: lock,
    skill: { ...lock, apply: (ctx, step) => lock.apply({ ...ctx, heldMs: 2 ** 31 - 1 }, step) },
    promise: 'a fault lasts for as long as it may be held',
    says: /nothing on the target ends db\.table_lock/,
  },
  {
    wrong: 'a loss that nobody is told of',
    right: lock,
    skill: {
      ...lock,
      apply: (ctx, step) => lock.apply({ ...ctx, hold: (held) => ctx.hold({ close: () => held.close() }) }, step),
    },
    promise: 'a fault lasts for as long as it may be held',
    says: /does not tell when it is lost/,
  },
  {
    wrong: 'an apply that locks nothing, while inspect says 100',
    right: lock,
    skill: {
      ...lock,
      async apply({ target, mark, heldMs, signal, hold }) {
        const session = await target.session(mark, signal, { idleInTransactionMs: heldMs })
        hold(session)
        await session.query('begin')
      },
      async inspect({ target, mark }) {
        const there = (await target.marked(mark)).length
        return { inEffect: 100 * there, restored: 0, foreign: 0 }
      },
    },
    promise: 'apply takes effect, which shows without the skill',
    says: /nobody notices it/,
  },
]

describe('the contract finds', () => {
  let server: Postgres
  before(async () => void (server = await startPostgres()))
  after(() => server.stop())

  const isFree = async (table: string): Promise<boolean> => {
    const client = new pg.Client({ connectionString: server.url() })
    await client.connect()
    try {
      await client.query(`set lock_timeout = '100ms'; lock table ${table} in access share mode`)
      return true
    } catch (error) {
      assert.equal((error as { code?: string }).code, '55P03', String(error))
      return false
    } finally {
      await client.end()
    }
  }
  const caseOf = (skill: Skill): SkillCase => ({
    name: 'two tables',
    skill,
    params: { tables: ['a', 'b'] },
    connect: (options) =>
      connectPostgres({ connection_url: server.url(), db_type: 'postgres', schemas: [] }, [skill], options),
    async arrange() {
      await server.sql(`drop table if exists a, b;
        create table a (id int primary key, note text); insert into a values (1, 'one'), (2, 'two');
        create table b (id int primary key, note text); insert into b values (1, 'one'), (2, 'two')`)
    },
    snapshot: () =>
      server.sql(`select application_name from pg_stat_activity
        where application_name like 'chaos-%' and application_name not like '%-0'`),
    effect: async () => [await isFree('a'), await isFree('b')],
    replaced: { change: () => Promise.resolve() },
    strangers: namesakes(() => server),
  })
  /** What the promise says of the skill; undefined where it is kept. */
  const complaint = async (skill: Skill, promise: string): Promise<string | undefined> => {
    const [promised, more] = PROMISES.filter(({ title }) => title.startsWith(promise))
    assert.ok(promised && more === undefined, promise)
    const it = caseOf(skill)
    assert.ok(promised.when?.(it) ?? true, `${promise} is asked of ${skill.name}`)
    return tryPromise(it, promised).then(
      () => undefined,
      (error: unknown) => (error as Error).message,
    )
  }

  const kept = new Set<string>()
  for (const { wrong, right, skill, promise, says } of WRONG) {
    test(wrong, async () => {
      // What fails with the wrong skill alone is found, and not just broken.
      const pair = `${right.name}: ${promise}`
      if (!kept.has(pair)) assert.equal(await complaint(right, promise), undefined)
      kept.add(pair)
      assert.match((await complaint(skill, promise)) ?? 'kept', says)
    })
  }
})
