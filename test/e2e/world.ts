/** A database that is hard to put back, and an application whose every committed edit is also made in a model of it. */
import assert from 'node:assert/strict'
import pg from 'pg'
import { seededRandom } from '../../src/core/random.ts'

/** Two-column, UUID, text and identity keys, NULLs, quoted names, awkward values. */
export const SCHEMA = `
  create type mood as enum ('calm', 'cross');
  create domain positive as integer check (value > 0);
  create table customers (
    id uuid primary key default gen_random_uuid(), name text not null, email varchar(60) unique, mood mood,
    active boolean not null default true, note text, photo bytea, born date, seen timestamptz, big numeric, tags text[], doc jsonb);
  create table "Order Lines" (
    "order" integer not null, line integer not null, customer uuid references customers, "select" text, qty positive not null,
    price numeric(12,2) not null, total numeric generated always as (price * 2) stored, primary key ("order", line));
  create table "select" (code text primary key, "WHERE" text, "a b" bigint, c char(12), at timestamp);
  create table audit (id bigint generated always as identity primary key, code text references "select" on delete cascade, what text not null, score double precision);
  create table plain (id serial primary key, body text, amount integer check (amount between 0 and 1000), payload json);
  insert into customers (name, email, mood, active, note, photo, born, seen, big, tags, doc)
    select 'cust ' || i, case when i % 3 > 0 then 'c' || i || '@example.invalid' end, (array['calm', 'cross', null])[i % 3 + 1]::mood, i % 2 = 0,
           case i % 4 when 0 then null when 1 then 'it''s "quoted" \\ and ünïcode ☃ ' || i when 2 then '' else E'two\\nlines\\ttab ' || i end,
           case when i % 5 > 0 then decode(md5(i::text), 'hex') end, case when i % 7 = 0 then 'infinity'::date when i % 2 = 0 then date '2000-02-29' + i end,
           case when i % 6 = 0 then '-infinity'::timestamptz else timestamptz '2020-01-01 00:00:00.123456+00' + i * interval '1 hour' end,
           case when i % 4 = 0 then 'NaN'::numeric else 9007199254740993.000100 + i end, case when i % 2 = 0 then array['a,b', null, '"'] end, jsonb_build_object('n', i, 's', 'x"y')
      from generate_series(1, 60) i;
  insert into "Order Lines" select i / 3, i % 3, (select id from customers order by name offset i % 50 limit 1), case when i % 2 = 0 then 'line ' || i end, i % 9 + 1, i * 1.25
      from generate_series(1, 90) i;
  insert into "select" select 'code-' || i, case when i % 3 > 0 then 'w' || i end, 9007199254740993 + i, 'c' || i, case when i % 4 > 0 then timestamp 'infinity' end
      from generate_series(1, 40) i;
  insert into audit (code, what, score) select 'code-' || (i % 40 + 1), 'did ' || i, i / 3.0 from generate_series(1, 60) i;
  insert into plain (body, amount, payload) select 'body ' || i, i, '{"b": 1,   "a":  [1,2]}' from generate_series(1, 50) i;
`

const TABLES: Record<string, { sql: string; key: string[] }> = {
  customers: { sql: 'customers', key: ['id'] },
  lines: { sql: '"Order Lines"', key: ['order', 'line'] },
  select: { sql: '"select"', key: ['code'] },
  audit: { sql: 'audit', key: ['id'] },
  plain: { sql: 'plain', key: ['id'] },
}

type Row = Record<string, string | null>
type Rows = Map<string, Row>

const TEXT = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig

export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'the-application' })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Every row of every table, as text, by key. */
export async function readRows(client: pg.Client): Promise<Map<string, Rows>> {
  const all = new Map<string, Rows>()
  for (const [name, { sql, key }] of Object.entries(TABLES)) {
    const { rows } = await client.query<Row>({ text: `select * from ${sql}`, types: TEXT })
    all.set(name, new Map(rows.map((row) => [keyOf(row, key), row])))
  }
  return all
}

function keyOf(row: Row, key: string[]): string {
  return JSON.stringify(key.map((column) => row[column]))
}

/** Differences between two readings, one line each. */
export function differences(expected: Map<string, Rows>, actual: Map<string, Rows>): string[] {
  const out: string[] = []
  for (const [table, rows] of expected) {
    const now = actual.get(table) ?? new Map<string, Row>()
    for (const [key, row] of rows) {
      const found = now.get(key)
      if (!found) out.push(`${table} ${key}: row is gone`)
      else {
        for (const column of Object.keys(row)) {
          if (row[column] !== found[column])
            out.push(`${table} ${key}.${column}: ${String(row[column])} → ${String(found[column])}`)
        }
      }
    }
    for (const key of now.keys()) if (!rows.has(key)) out.push(`${table} ${key}: row was added`)
  }
  return out
}

/** Writes to the rows that chaos writes to, absolute values only, each committed edit also made in the model. */
export class Application {
  edits = 0
  refused = 0
  readonly model: Map<string, Rows>
  readonly #client: pg.Client
  readonly #random = seededRandom('application')
  #stop = false
  #loop: Promise<void> | undefined

  private constructor(client: pg.Client, model: Map<string, Rows>) {
    this.#client = client
    this.model = model
  }

  static async connect(url: string): Promise<Application> {
    const client = await connect(url)
    await client.query('set statement_timeout = 1500')
    return new Application(client, await readRows(client))
  }

  start(pauseMs: number): void {
    this.#stop = false
    this.#loop = (async () => {
      while (!this.#stop) {
        await this.edit()
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    })()
  }

  async pause(): Promise<void> {
    this.#stop = true
    await this.#loop
  }

  async end(): Promise<void> {
    await this.pause()
    await this.#client.end()
  }

  /** One committed edit, or none when chaos is in its way. */
  async edit(): Promise<void> {
    const n = ++this.edits
    const pick = (table: string): Row | undefined => this.#random.pick([...(this.model.get(table)?.values() ?? [])])
    const customer = pick('customers')
    const line = pick('lines')
    const code = pick('select')
    const plain = pick('plain')
    const edits: (() => Promise<void>)[] = [
      () => this.#update('customers', 'id', customer?.['id'], 'note', `app ${n}`),
      () => this.#update('customers', 'id', customer?.['id'], 'big', String(n)),
      () => this.#update('plain', 'id', plain?.['id'], 'body', `app's "${n}"`),
      () => this.#update('plain', 'id', plain?.['id'], 'payload', `{"app":  ${n}}`),
      () => this.#update('select', 'code', code?.['code'], 'WHERE', null),
      () => this.#update('select', 'code', code?.['code'], 'a b', String(n)),
      () =>
        this.#run(
          'lines',
          `update "Order Lines" set price = $1, "select" = $2 where "order" = $3 and line = $4 returning *`,
          [`${n % 1000}.50`, `app ${n}`, line?.['order'], line?.['line']],
        ),
      () =>
        this.#run('audit', 'insert into audit (code, what, score) values ($1, $2, $3) returning *', [
          code?.['code'],
          `app ${n}`,
          n / 7,
        ]),
      () =>
        this.#run('plain', 'insert into plain (body, amount) values ($1, $2) returning *', [`app new ${n}`, n % 1000]),
      () => this.#delete('plain', 'id', plain?.['id']),
    ]
    try {
      await this.#random.pick(edits)?.()
    } catch {
      this.refused += 1
    }
  }

  #update(
    table: string,
    key: string,
    value: string | null | undefined,
    column: string,
    to: string | null,
  ): Promise<void> {
    return this.#run(
      table,
      `update ${TABLES[table]!.sql} set "${column}" = $1 where "${key}" = $2 returning *`,
      [to, value],
      [column],
    )
  }

  /** What the statement returned is what the application knows; but only columns it wrote are its own. */
  async #run(table: string, sql: string, values: unknown[], wrote?: string[]): Promise<void> {
    const { rows } = await this.#client.query<Row>({ text: sql, values, types: TEXT })
    const { key } = TABLES[table]!
    for (const row of rows) {
      const known = this.model.get(table)?.get(keyOf(row, key))
      const own = wrote ?? (known ? ['price', 'select', 'total'] : Object.keys(row))
      this.model
        .get(table)
        ?.set(keyOf(row, key), { ...known, ...Object.fromEntries(own.map((c) => [c, row[c] ?? null])) })
    }
  }

  async #delete(table: string, key: string, value: string | null | undefined): Promise<void> {
    const { rows } = await this.#client.query<Row>({
      text: `delete from ${TABLES[table]!.sql} where "${key}" = $1 returning *`,
      values: [value],
      types: TEXT,
    })
    for (const row of rows) this.model.get(table)?.delete(keyOf(row, TABLES[table]!.key))
  }
}

/** What may be left on the server besides rows: settings lines, marked sessions, and their locks. */
export async function serverState(
  client: pg.Client,
): Promise<{ autoConf: string; settings: string; sessions: string[]; locks: string[] }> {
  const one = async (sql: string): Promise<string> =>
    Object.values((await client.query<Row>({ text: sql, types: TEXT })).rows[0] ?? {})[0] ?? ''
  const many = async (sql: string): Promise<string[]> =>
    (await client.query<Row>({ text: sql, types: TEXT })).rows.map((row) => JSON.stringify(row))
  return {
    autoConf: await one(`select pg_read_file('postgresql.auto.conf')`),
    settings: await one(
      `select md5(string_agg(name || '=' || coalesce(reset_val, ''), ',' order by name)) from pg_settings where name in ('work_mem', 'maintenance_work_mem', 'log_min_duration_statement', 'random_page_cost')`,
    ),
    sessions: await many(`select application_name, state from pg_stat_activity where application_name like 'chaos-%'`),
    locks: await many(
      `select l.locktype, l.mode, a.application_name from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' or (l.locktype = 'relation' and a.application_name like 'chaos-%')`,
    ),
  }
}

export function assertSame(before: unknown, after: unknown, what: string): void {
  assert.deepEqual(after, before, what)
}
