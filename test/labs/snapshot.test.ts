import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { debianPostgresMissing, startDebianPostgres } from './debian-postgres.ts'
import { startPostgres, type Postgres } from './embedded-postgres.ts'
import { diff, snapshot, type SnapshotOptions } from './snapshot.ts'

const SCHEMA = `
  create type mood as enum ('happy', 'sad');
  create domain amount as numeric check (value >= 0);
  create table customers (id uuid primary key, name text not null, mood mood, raw bytea, since timestamptz, about jsonb);
  create table orders (id bigint generated always as identity primary key, customer uuid references customers,
    qty amount, at double precision, double_qty numeric generated always as (qty * 2) stored);
  create table "Odd ""Name""" ("select" text, "from" int, primary key ("from", "select"));
  create table pairs (a int, b text);
  create table parted (id int primary key, n int) partition by range (id);
  create table parted_low partition of parted for values from (0) to (10);
  create table big (id int primary key, t text);
  create view happy as select * from customers where mood = 'happy';
  create materialized view totals as select count(*) from orders;
  create function noop() returns trigger language plpgsql as 'begin return new; end';
  create trigger noop before update on orders for each row execute function noop();
  create sequence counter;
  create role reader;
  insert into customers select md5(n::text)::uuid, 'n' || n, 'happy', '\\x00ff', 'infinity', '{"n": 1}' from generate_series(1, 3) n;
  insert into orders (customer, qty, at) select md5('1')::uuid, n, 0.1 from generate_series(1, 5) n;
  insert into "Odd ""Name""" values ('a', 1), ('b', 2);
  insert into pairs values (1, 'x'), (1, 'x'), (2, null);
  insert into parted values (1, 1);
  insert into big select n, 't' || n from generate_series(1, 500) n;`

/** What is done, what the snapshot says of it (each line a pattern), and how it is undone. */
// prettier-ignore
const CHANGES: [did: string, says: RegExp[], undone: string][] = [
  ['update orders set qty = 7 where id = 1', [/^public\.orders: row \[1\] changed: qty "1" → "7", double_qty "2" → "14"$/], 'update orders set qty = 1 where id = 1'],
  ['update customers set since = null', Array<RegExp>(3).fill(/^public\.customers: row \["[-0-9a-f]{36}"\] changed: since "infinity" → NULL$/), "update customers set since = 'infinity'"],
  ["insert into customers (id, name) values (md5('x')::uuid, 'O''Neil')", [/^public\.customers: row \[".*"\] added: id ".*", name "O'Neil", mood NULL,/], "delete from customers where name = 'O''Neil'"],
  ['delete from "Odd ""Name""" where "from" = 2', [/^public\."Odd ""Name""": row \[2, "b"\] removed: select "b", from "2"$/], `insert into "Odd ""Name""" values ('b', 2)`],
  ["insert into pairs values (1, 'x')", [/^public\.pairs: row added: a "1", b "x"$/], "delete from pairs where ctid in (select max(ctid) from pairs where a = 1)"],
  ['update pairs set b = 3 where b is null', [/^public\.pairs: row removed: a "2", b NULL$/, /^public\.pairs: row added: a "2", b "3"$/], "update pairs set b = null where b = '3'"],
  ['update parted set n = 2', [/^public\.parted_low: row \[1\] changed: n "1" → "2"$/], 'update parted set n = 1'],
  ["update big set t = 'x' where id = 77", [/^public\.big: changed, with 500 rows before and after$/], "update big set t = 't77' where id = 77"],
  ['delete from big where id = 77', [/^public\.big: 500 rows → 499 rows$/], "insert into big values (77, 't77')"],
  ['insert into orders (qty) values (1)', [/^public\.orders: row \[6\] added/], 'delete from orders where id = 6'],
  ["alter table customers alter name set default 'x'", [/^column public\.customers\.name changed: "text, not null, collation.*" → "text, not null, default 'x'::text,/], 'alter table customers alter name drop default'],
  ['create index idle on pairs (a)', [/^index public\.idle added: "CREATE INDEX idle ON public\.pairs USING btree \(a\)"$/], 'drop index idle'],
  ['alter table orders drop constraint orders_customer_fkey', [/^constraint public\.orders\.orders_customer_fkey removed: "FOREIGN KEY/], 'alter table orders add foreign key (customer) references customers'],
  ['alter table orders disable trigger noop', [/^trigger public\.orders\.noop changed: .*enabled O" → .*enabled D"$/], 'alter table orders enable trigger noop'],
  ["alter function noop() set work_mem = '1MB'", [/^function public\.noop\(\) changed/], 'alter function noop() reset all'],
  ["alter type mood rename value 'sad' to 'blue'", [/^type public\.mood changed: "e happy,sad" → "e happy,blue"$/], "alter type mood rename value 'blue' to 'sad'"],
  ['create table late (n int)', [/^relation public\.late added/, /^column public\.late\.n added/], 'drop table late'],
  ["alter system set work_mem = '9MB' ;; select pg_reload_conf() ;; select pg_sleep(0.2)", [/^postgresql\.auto\.conf: line added: work_mem = '9MB'$/, /^setting work_mem changed: "4096kB from default" → "9216kB from configuration file"$/], 'alter system reset work_mem ;; select pg_reload_conf() ;; select pg_sleep(0.2)'],
  ['alter system set max_connections = 50 ;; select pg_reload_conf() ;; select pg_sleep(0.2)', [/line added: max_connections = '50'$/, /^setting max_connections changed: .*a restart is pending"$/], 'alter system reset max_connections ;; select pg_reload_conf() ;; select pg_sleep(0.2)'],
  ['alter role reader connection limit 3', [/^role reader changed: "inherit, connection limit -1" → "inherit, connection limit 3"$/], 'alter role reader connection limit -1'],
  ["alter role reader set work_mem = '1MB'", [/^settings of reader added: "work_mem=1MB"$/], 'alter role reader reset all'],
  ["alter database postgres set timezone = 'Asia/Tokyo'", [/^setting TimeZone changed/, /^settings of all roles in postgres added: "TimeZone=Asia\/Tokyo"$/], 'alter database postgres reset all'],
  ["alter database postgres set default_transaction_read_only = on; alter database postgres set datestyle = 'German'", [/^setting DateStyle/, /^setting default_transaction_read_only/, /^settings of all roles in postgres added/], 'begin read write; alter database postgres reset all; commit'],
  ['alter database postgres connection limit 9', [/^database postgres changed/], 'alter database postgres connection limit -1'],
  ['begin; create table prepared (n int); prepare transaction $$left over$$', [/^prepared transaction left over added: "postgres postgres"$/], 'rollback prepared $$left over$$'],
  ["create publication news for table orders", [/^publication news added: "insert t update t delete t truncate t, public\.orders"$/], 'drop publication news'],
  ["select pg_create_physical_replication_slot('slot')", [/^replication slot slot added: "physical"$/], "select pg_drop_replication_slot('slot')"],
  ["select lo_create(4711)", [/^large objects of this database changed: "0" → "1"$/], 'select lo_unlink(4711)'],
]

for (const [name, start, skip] of [
  ['from npm', startPostgres, false],
  ['from Debian', startDebianPostgres, debianPostgresMissing() ?? false],
] as const) {
  describe(`a snapshot of PostgreSQL ${name}`, { skip }, () => {
    let server: Postgres
    const take = (options?: SnapshotOptions) => snapshot(server.url(), { keepRows: 100, ...options })
    before(async () => {
      server = await start({ settings: { max_prepared_transactions: '2' } })
      await server.sql(SCHEMA)
    })
    after(() => server.stop())

    test('has everything a superuser may read, as plain JSON, and does not differ from a second one', async () => {
      const first = await take({ sequences: true })
      assert.deepEqual(JSON.parse(JSON.stringify(first)), first)
      assert.deepEqual(diff(first, await take({ sequences: true })), [])
    })

    test('tells each change in a line, and nothing any more once it is undone', async () => {
      const first = await take()
      for (const [did, says, undone] of CHANGES) {
        await runAll(did)
        const lines = diff(first, await take())
        assert.equal(lines.length, says.length, `${did}: ${lines.join('\n')}`)
        for (const [i, pattern] of says.entries()) assert.match(lines[i] ?? '', pattern)
        await runAll(undone)
        assert.deepEqual(diff(first, await take()), [], undone)
      }
    })

    test('is the same after the server was restarted or killed', async () => {
      const first = await take()
      await server.restart()
      assert.deepEqual(diff(first, await take()), [])
      server.kill9()
      await server.restart()
      assert.deepEqual(diff(first, await take()), [])
    })

    test('tells when lines of postgresql.auto.conf have changed places', async () => {
      await server.sql("alter system set work_mem = '9MB'")
      await server.sql("alter system set maintenance_work_mem = '9MB'")
      const first = await take()
      await server.sql('alter system reset work_mem')
      await server.sql("alter system set work_mem = '9MB'")
      const lines = diff(first, await take())
      assert.equal(lines.length, 1)
      assert.match(
        lines[0] ?? '',
        /^postgresql\.auto\.conf: the same lines in another order: .*maintenance.* \| work_mem/,
      )
      await server.sql('alter system reset all')
    })

    test('has sequences only when asked', async () => {
      const [without, withThem] = [await take(), await take({ sequences: true })]
      await server.sql("select nextval('counter')")
      assert.deepEqual(diff(without, await take()), [])
      assert.deepEqual(diff(withThem, await take({ sequences: true })), [
        'sequence public.counter changed: "not called" → "last 1"',
      ])
    })

    test('has sessions marked as ours with their relation locks, and everybody’s advisory locks and temporary tables', async () => {
      const first = await take()
      const ours = await connect('chaos-abc-def-1')
      const others = await connect('shop')
      await ours.query('begin; lock table orders in share mode; select pg_advisory_lock(42)')
      await others.query('begin; lock table pairs in share mode; create temp table notes (n int)')
      const lines = diff(first, await take())
      assert.match(
        lines.find((l) => l.startsWith('session ')) ?? '',
        /^session chaos-abc-def-1 \(pid \d+\) added: "postgres postgres idle in transaction"$/,
      )
      assert.match(
        lines.find((l) => l.includes(' public.orders ')) ?? '',
        /^relation lock chaos-abc-def-1 pid \d+ public\.orders ShareLock added: "held"$/,
      )
      assert.match(
        lines.find((l) => l.startsWith('advisory lock ')) ?? '',
        /\/42\/1\/ExclusiveLock\/pid \d+ added: "held by chaos-abc-def-1"$/,
      )
      assert.equal(
        lines.some((l) => l.includes('shop') || l.includes('pairs')),
        false,
      )
      await others.query('commit')
      assert.match(
        diff(first, await take()).find((l) => l.startsWith('temporary table ')) ?? '',
        /notes added: "kind r"$/,
      )
      await ours.end()
      await others.end()
      await waitFor(async () => diff(first, await take()).length === 0)
    })

    test('says which table is locked instead of waiting for ever', async () => {
      const first = await take()
      const holder = await connect('shop')
      await holder.query('begin; lock table pairs')
      assert.deepEqual(diff(first, await take()), [
        'public.pairs: 3 rows → unreadable (canceling statement due to lock timeout)',
      ])
      await holder.end()
    })

    test('of an ordinary user counts what it could not read as differences', async () => {
      await server.sql('create role plain login')
      const theirs = await snapshot(server.url('postgres', 'plain'))
      const lines = diff(theirs, theirs)
      assert.ok(lines.includes('public.orders: unreadable (permission denied for table orders)'), lines.join('\n'))
      assert.ok(lines.includes('unreadable: postgresql.auto.conf'))
    })

    /** Over one connection and transaction, except where `;;` asks for several. */
    async function runAll(statements: string): Promise<void> {
      for (const sql of statements.split(' ;; ')) await server.sql(sql)
    }

    async function connect(application_name: string): Promise<pg.Client> {
      const client = new pg.Client({ connectionString: server.url(), application_name })
      client.on('error', () => undefined)
      await client.connect()
      return client
    }
  })
}

async function waitFor(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await holds())) assert.ok(Date.now() < deadline, 'still not after 10 s')
}
