/** `npm run postgres`: a PostgreSQL of its own to try faults on, with two filled tables. It ends, and is removed, at Ctrl-C. */
import { startPostgres } from './embedded-postgres.ts'

const TABLES = `
create table customers (id bigint generated always as identity primary key, email text not null unique);
create table orders (id bigint generated always as identity primary key, customer bigint not null references customers, total numeric(10, 2) not null);
create index on orders (customer);
insert into customers (email) select 'customer' || n || '@example.org' from generate_series(1, 1000) n;
insert into orders (customer, total) select n % 1000 + 1, n % 500 from generate_series(1, 20000) n;
`

const stopped = new Promise<void>((resolve) => {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => resolve())
})
const server = await startPostgres()
try {
  await server.sql(TABLES)
  process.stdout.write(`${server.url()}\n`)
  process.stdout.write(
    `Try: npx chaos init ${server.url()}, then npx chaos run with the file that it writes. Ctrl-C ends the server.\n`,
  )
  // A listener for signals alone keeps no process alive.
  const alive = setInterval(() => undefined, 60_000)
  await stopped
  clearInterval(alive)
} finally {
  await server.stop()
}
