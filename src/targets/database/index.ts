/** The database target: its configuration, its skills (one line each), and how to connect. */
import { z } from 'zod'
import { defineTarget } from '../../core/target.ts'
import type { AnySkill } from '../../core/target.ts'
import type { DatabaseConfig } from './agent.ts'
import type { DbClient, DbReader } from './client.ts'
import { configChange } from './skills/config_change.ts'
import { insertLoad } from './skills/insert_load.ts'
import { tableLock } from './skills/table_lock.ts'
import { updateLoad } from './skills/update_load.ts'

const skills: readonly AnySkill<DbReader, DbClient>[] = [insertLoad, updateLoad, configChange, tableLock]

const config = z.strictObject({
  connection_url: z
    .string()
    .refine(isPostgresUrl, { error: 'is not a PostgreSQL URL; write postgres://user:password@host:5432/database' }),
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
  async connect(config, options) {
    // The driver is loaded only where it is used: a supervisor never connects.
    const { connectPostgres } = await import('./agent.ts')
    return connectPostgres(config, skills, options)
  },
})

function isPostgresUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  return /^postgres(ql)?:$/.test(url.protocol) && databaseOf(url) !== ''
}

/** The database named by a URL; as in libpq, the user's name where there is none. */
function databaseOf(url: URL): string {
  return decodeURIComponent(url.pathname.slice(1)) || decodeURIComponent(url.username)
}

function redactUrl(text: string): string {
  const url = new URL(text)
  if (url.password !== '') url.password = '***'
  if (url.searchParams.has('password')) url.searchParams.set('password', '***')
  return url.toString()
}
