/** Tables in which frameworks keep their books (which migrations ran, which models there are): left alone unless named. */

/** Who writes to a table of this name, in lower case, whatever its schema. */
const KNOWN: Readonly<Record<string, string>> = {
  ...every('Rails', 'ar_internal_metadata schema_migration_details'),
  ...every('migrations (Rails, Ecto, golang-migrate, dbmate, …)', 'schema_migrations schema_migration'),
  ...every('Django', 'django_migrations django_content_type auth_permission south_migrationhistory'),
  ...every('Alembic', 'alembic_version'),
  ...every('Flyway', 'flyway_schema_history'),
  ...every('Liquibase', 'databasechangelog databasechangeloglock'),
  ...every('Prisma', '_prisma_migrations rw_datamigration'),
  ...every('Knex', 'knex_migrations knex_migrations_lock'),
  ...every('Sequelize', 'sequelizemeta sequelizedata'),
  ...every('TypeORM', 'typeorm_metadata typeorm_migrations'),
  ...every('Drizzle', '__drizzle_migrations'),
  ...every('MikroORM', 'mikro_orm_migrations'),
  ...every('Kysely', 'kysely_migration kysely_migration_lock'),
  ...every('node-pg-migrate', 'pgmigrations'),
  ...every('AdonisJS', 'adonis_schema adonis_schema_versions'),
  ...every('Strapi', 'strapi_migrations strapi_migrations_internal strapi_database_schema'),
  ...every('Doctrine', 'doctrine_migration_versions migration_versions'),
  ...every('Phinx', 'phinxlog cake_migrations'),
  ...every('Entity Framework', '__efmigrationshistory __migrationhistory'),
  ...every('FluentMigrator', 'versioninfo'),
  ...every('DbUp', 'schemaversions'),
  ...every('goose', 'goose_db_version'),
  ...every('sql-migrate', 'gorp_migrations'),
  ...every('Bun', 'bun_migrations bun_migration_locks'),
  ...every('Atlas', 'atlas_schema_revisions'),
  ...every('sqlx', '_sqlx_migrations'),
  ...every('Diesel', '__diesel_schema_migrations'),
  ...every('Refinery', 'refinery_schema_history'),
  ...every('SeaORM', 'seaql_migrations'),
  ...every('Play', 'play_evolutions play_evolutions_lock'),
  ...every('Hibernate', 'hibernate_sequences'),
  ...every('yoyo', '_yoyo_migration _yoyo_log _yoyo_version yoyo_lock'),
  ...every('Sequel', 'schema_info'),
  ...every('Aerich', 'aerich'),
  ...every('Peewee', 'migratehistory'),
  ...every('micrate', 'micrate_db_version'),
}

/** Schemas that are such books as a whole. */
const SCHEMAS: Readonly<Record<string, string>> = {
  hdb_catalog: 'Hasura',
  sqitch: 'Sqitch',
  graphile_migrate: 'graphile-migrate',
  supabase_migrations: 'Supabase',
  pgroll: 'pgroll',
}

/** Names that such a table may have, and a user's own table too: then its columns tell. Also a PostgreSQL pattern. */
export const SUSPICIOUS = 'migrat|schema_?(version|history|info|revision|meta)|^version$|changelog|evolution'

/** What columns of a table of migrations are called. */
const COLUMNS = new Set(
  (
    'id version version_num version_id name migration migration_name migrationname migration_id migrationid batch hash ' +
    'checksum script filename file_name path description descr title type tag app index rank applied applied_at ' +
    'appliedat applied_on applied_by is_applied executed_at executed_on executed_by execution_time ' +
    'execution_time_in_millis exectime installed_on installed_by installed_rank success status state error run_on ' +
    'run_at migration_time migrated_at created_at createdat inserted_at updated_at started_at finished_at ' +
    'start_time end_time rolled_back_at rollback logs log applied_steps_count dirty is_locked locked locked_at ' +
    'md5 sha256 scriptname currentversion version_rank timestamp tstamp time date apply_time breakpoint product_version productversion revision group_id statements'
  ).split(' '),
)

/** Why a table is left alone unless params name it; `columns` are asked for only where the name is suspicious. */
export function bookkeeping(schema: string, table: string, columns: readonly string[]): string | undefined {
  const name = table.toLowerCase()
  const who = KNOWN[name] ?? SCHEMAS[schema.toLowerCase()]
  const books = who !== undefined || (new RegExp(SUSPICIOUS).test(name) && isLog(columns))
  if (!books) return undefined
  return `it looks like the bookkeeping of ${who ?? 'migrations'}; it is used only where tables names it`
}

/** Nothing but what is worth knowing of a migration. */
function isLog(columns: readonly string[]): boolean {
  return columns.length > 0 && columns.every((column) => COLUMNS.has(column.toLowerCase()))
}

function every(framework: string, tables: string): Record<string, string> {
  return Object.fromEntries(tables.split(' ').map((table) => [table, framework]))
}
