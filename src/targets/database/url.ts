/** Connection URLs of PostgreSQL: which are ones, what they name, and how they may be shown and written down. */
import type { FromUrl } from '../../core/survey.ts'

export const URL_FORM = 'postgres://user:password@host:5432/database'

export function isPostgresUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  if (!/^postgres(ql)?:$/.test(url.protocol)) return false
  if (![url.username, url.password, url.pathname].every(isDecodable) || databaseOf(url) === '') return false
  // `postgres://user:1/2@host/db`: the password has a slash in it, and what follows would be taken for a database.
  return !url.pathname.includes('@')
}

/** The database named by a URL; as in libpq, the user's name where there is none. */
export function databaseOf(url: URL): string {
  return decodeURIComponent(url.pathname.slice(1)) || decodeURIComponent(url.username)
}

export function redactUrl(text: string): string {
  const url = new URL(text)
  if (url.password !== '') url.password = '***'
  if (url.searchParams.has('password')) url.searchParams.set('password', '***')
  return url.toString()
}

/** For a first configuration: the URL stays in the environment. */
export function readUrl(url: string, parse: (config: unknown) => unknown): FromUrl | undefined {
  if (!isPostgresUrl(url)) return undefined
  return {
    config: parse({ connection_url: url }),
    written: { connection_url: `\${${VARIABLE}}` },
    env: { [VARIABLE]: url },
    shown: { [VARIABLE]: redactUrl(url) },
  }
}

const VARIABLE = 'DATABASE_URL'

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
