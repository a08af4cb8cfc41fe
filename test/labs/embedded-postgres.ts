/** The private PostgreSQL that tests start; the demo starts the same one. */
export { startPostgres, type Postgres, type PostgresOptions } from '../../scripts/embedded-postgres.ts'
