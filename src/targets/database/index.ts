/** The database target: its configuration, its skills (one line each), and how to connect. */
import { defineTarget } from '../../core/target.ts'
import type { AnyDatabaseSkill } from './dialect.ts'
import { postgres } from './postgres/index.ts'
import { bracketed, config, placeName, placeOf, warningsOf } from './config.ts'
import type { DatabaseConfig } from './config.ts'
import { parseUrl, readUrl, redactUrl, URL_FORM } from './postgres/connect/url.ts'
import { configChange } from './skills/config_change.ts'
import { insertLoad } from './skills/insert_load.ts'
import { tableLock } from './skills/table_lock.ts'
import { updateLoad } from './skills/update_load.ts'
import { suggest } from './suggest.ts'

const kinds: readonly AnyDatabaseSkill[] = [insertLoad, updateLoad, configChange, tableLock]
const skills = kinds.map((skill) => skill(postgres))

export const database = defineTarget<DatabaseConfig>({
  name: 'database',
  config,
  skills,
  endpoint(config) {
    const place = placeOf(config)
    return { key: placeName(place), names: [bracketed(place.host), place.database] }
  },
  redact: ({ connection_url, password, ...rest }) => ({
    ...(connection_url === undefined ? {} : { connection_url: redactUrl(connection_url) }),
    ...rest,
    ...(password === undefined ? {} : { password: '***' }),
  }),
  secrets({ connection_url, password }) {
    const inUrl = connection_url === undefined ? undefined : parseUrl(connection_url).parts?.password
    const written = /^[^:]*:\/\/[^:@/?]*:([^@/?]*)@/.exec(connection_url ?? '')?.[1]
    return [password ?? '', inUrl ?? '', written ?? ''].filter((value) => value !== '')
  },
  warnings: (config) => warningsOf(config, process.env),
  url: { form: URL_FORM, read: (url) => readUrl(url, (written) => config.parse(written)) },
  suggest: (survey) => suggest(postgres.examples, survey),
  async sandbox(options) {
    const { openSandbox } = await import('./postgres/sandbox/sandbox.ts')
    return openSandbox(options)
  },
  async connect(config, options) {
    // The driver is loaded only where it is used: a supervisor never connects.
    const { connectPostgres } = await import('./postgres/agent.ts')
    return connectPostgres(config, skills, options)
  },
})
