/** D18’s kind: a CHECK that says which references go together (friends are two) was tried with one pair, and rows with others failed at apply. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { insertLoad } from '../labs/postgres-skills.ts'
import { fieldServer } from './rigs.ts'
import { planOf } from './looking.ts'

const PEOPLE = 12
const PARENTS = [
  'drop table if exists x, u, p cascade',
  'create table u (id serial primary key, n text)',
  'create table p (id bigserial primary key, n text)',
  `insert into u (n) select 'u' || g from generate_series(1, ${PEOPLE}) g`,
  `insert into p (n) select 'p' || g from generate_series(1, ${PEOPLE}) g`,
]

interface Case {
  table: string
  /** How many of 40 rows fit; all, unless said. */
  rows?: number
  short?: RegExp
}

const CASES: Readonly<Record<string, Case>> = {
  'two different people': {
    table:
      '(id serial primary key, user_id int not null references u, friend_id int not null references u, check (user_id <> friend_id))',
  },
  'a pair in its order as the key': {
    table:
      '(user_id int references u, friend_id int references u, primary key (user_id, friend_id), check (user_id < friend_id))',
  },
  'a pair in its order as the key, of which most are there': {
    table: `(user_id int references u, friend_id int references u, primary key (user_id, friend_id), check (user_id < friend_id));
      insert into x select a.id, b.id from u a join u b on a.id < b.id where b.id < 11`,
    rows: 21,
    short: /takes 21 of 40 rows/,
  },
  'columns of another type than the parent’s': {
    table:
      '(id serial primary key, a int not null references p, b bigint not null references p, check (a + b > 15 and a <> b))',
  },
  'three references': {
    table:
      '(id serial primary key, a int not null references u, b int not null references u, c bigint not null references p, check (a <> b), check (b <> c))',
  },
  'one reference that must not be the first': {
    table: `(id serial primary key, user_id int not null references u, check (user_id > 9))`,
  },
  'one reference that may be missing': {
    table: '(id serial primary key, user_id int references u, check (user_id <> 1))',
  },
  'one of two references': {
    table:
      '(id serial primary key, user_id int references u, page_id bigint references p, check (num_nonnulls(user_id, page_id) = 1))',
  },
  'names that are keywords': {
    table:
      '(id serial primary key, "from" int not null references u, "to" int not null references u, check ("from" <> "to"))',
  },
}

describe('a CHECK over references', () => {
  const field = fieldServer()
  const count = async (): Promise<number> => (await field.server.sql('select from x')).length

  for (const [what, { table, rows = 40, short }] of Object.entries(CASES)) {
    test(what, async () => {
      await field.each([...PARENTS, ...`create table x ${table}`.split(';\n')])
      const before = await count()
      const rig = await field.open(insertLoad, { tables: ['x'], rows_per_table: 40 })
      const { notes = [] } = await rig.plan()
      if (short) assert.match(notes.join('\n'), short)
      await rig.applyAll()
      assert.equal(await count(), before + rows)
      await rig.undoAll()
      assert.equal(await count(), before)
    })
  }

  test('that no parents satisfy is a reason why not', async () => {
    await field.each([
      ...PARENTS,
      'delete from u where id > 1',
      'create table x (id serial primary key, user_id int not null references u, friend_id int not null references u, check (user_id <> friend_id))',
    ])
    const url = field.server.url()
    await assert.rejects(
      planOf(url, { skill: 'db.insert_load', params: { tables: ['x'] } }),
      /none that \(user_id <> friend_id\) allows/,
    )
  })
})
