/** The database target: its configuration, its skills (one line each), and how to connect. */
import { z } from 'zod'
import { defineTarget } from '../../core/target.ts'
import type { AnySkill } from '../../core/target.ts'
import type { DatabaseConfig } from './agent.ts'
import type { DbClient, DbReader } from './client.ts'
import { databaseOf, isPostgresUrl, readUrl, redactUrl, URL_FORM } from './url.ts'
import { configChange } from './skills/config_change.ts'
import { insertLoad } from './skills/insert_load.ts'
import { tableLock } from './skills/table_lock.ts'
import { updateLoad } from './skills/update_load.ts'
import { suggest } from './suggest.ts'

const skills: readonly AnySkill<DbReader, DbClient>[] = [insertLoad, updateLoad, configChange, tableLock]

const config = z.strictObject({
  connection_url: z.string().refine(isPostgresUrl, {
    error: `is not a PostgreSQL URL; write ${URL_FORM}, special characters in user and password as %40, %2F, …`,
  }),
  db_type: z.literal('postgres', { error: 'only postgres is available in this version' }).default('postgres'),
  schemas: z.array(z.string().min(1)).default([]),
})

export const database = defineTarget<DatabaseConfig>({
  name: 'database',
  config,
  skills,
  endpoint({ connection_url }) {
    const url = new URL(connection_url)
    const name = databaseOf(url)
    const host = url.searchParams.get('host') ?? url.hostname
    return { key: `postgres://${host}:${url.port || '5432'}/${name}`, names: [host, name].filter((n) => n !== '') }
  },
  redact: (config) => ({ ...config, connection_url: redactUrl(config.connection_url) }),
  secrets({ connection_url }) {
    const url = new URL(connection_url)
    const values = [url.password, decodeURIComponent(url.password), url.searchParams.get('password') ?? '']
    return values.filter((value) => value.length > 0)
  },
  url: { form: URL_FORM, read: (url) => readUrl(url, (written) => config.parse(written)) },
  suggest,
  async sandbox(options) {
    const { openSandbox } = await import('./sandbox.ts')
    return openSandbox(options)
  },
  async connect(config, options) {
    // The driver is loaded only where it is used: a supervisor never connects.
    const { connectPostgres } = await import('./agent.ts')
    return connectPostgres(config, skills, options)
  },
})
