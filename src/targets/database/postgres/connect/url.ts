/** Connection URLs of PostgreSQL: what they name, read as libpq reads them, and how they may be shown. */
import type { FromUrl } from '../../../../core/survey.ts'

export const URL_FORM = 'postgres://user:password@host:5432/database'

/** What a URL says; what it does not say is absent. Decoded. */
export interface UrlParts {
  user?: string
  password?: string
  /** A name, an address without brackets, or the folder of a Unix socket. */
  host?: string
  port?: number
  database?: string
  /** The rest of its query. */
  options: Readonly<Record<string, string>>
}

export type ReadUrl = { parts: UrlParts; problem?: undefined } | { parts?: undefined; problem: string }

const NO_URL = `is not a PostgreSQL URL; write ${URL_FORM}`
const ENCODE =
  'has a character in its user or password that must be encoded: write %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %25 for %, %20 for a space, %5B for [; or leave the password out of the URL and write it as it is under password:'
const HOSTS = 'names several hosts, but a run breaks one system: name the one that is meant'
const LARGEST_PORT = 65_535

/** Says what is wrong without showing any of it: nobody knows which part of a mistaken URL is the password. */
export function parseUrl(text: string): ReadUrl {
  const [, rest] = /^postgres(?:ql)?:\/\/(.*)$/is.exec(text) ?? []
  if (/^(?:mysql|mariadb):/i.test(text))
    return {
      problem: `is a URL of MySQL, which is on the roadmap, but not available in this version; write ${URL_FORM}`,
    }
  if (rest === undefined) return { problem: NO_URL }
  // A second @, or one behind a / or ?, is one of the password; so is everything that no URL may have in it.
  const [, user = '', password, place = rest] = /^([^:@/?]*)(?::([^@/?]*))?@(.*)$/s.exec(rest) ?? []
  if (/[@#\s\\]/.test(place) || /[#\s[\]]/.test(`${user}${password ?? ''}`)) return { problem: ENCODE }
  const [, authority = '', path = '', query = ''] = /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(place) ?? []
  if (authority.includes(',')) return { problem: HOSTS }
  const found = /^(?:\[([\da-fA-F:.]+(?:%25[\w.-]+)?)\]|([^:[\]]*))(?::(\d{0,5}))?$/.exec(authority)
  if (found === null) return { problem: ENCODE }
  const [, bracketed, name = '', port] = found
  const decoded = [user, password, bracketed ?? name, path].map((part) => (part === undefined ? part : decode(part)))
  const options = decodeQuery(query)
  if (options === undefined || decoded.includes(null)) return { problem: ENCODE }
  return partsOf(decoded as (string | undefined)[], port, options)
}

function partsOf(
  [user, password, host, path]: (string | undefined)[],
  port: string | undefined,
  given: Record<string, string>,
): ReadUrl {
  const {
    host: queryHost,
    hostaddr,
    port: queryPort,
    user: queryUser,
    password: queryPassword,
    dbname,
    ...options
  } = given
  const said = {
    user: queryUser ?? user,
    password: queryPassword ?? password,
    host: queryHost ?? (host === '' ? hostaddr : host),
    database: dbname ?? path,
  }
  const number = queryPort ?? port
  if ([said.host, number].some((one) => one?.includes(','))) return { problem: HOSTS }
  if (said.host?.startsWith('@'))
    return { problem: 'names an abstract socket: write the folder of a socket, or a host' }
  if (said.host !== undefined && /[\s/]/.test(said.host) && !said.host.startsWith('/')) return { problem: ENCODE }
  if (number !== undefined && number !== '' && !isPort(number))
    return { problem: `must have a port from 1 to ${LARGEST_PORT}` }
  const present = Object.entries(said).filter(([, value]) => value !== undefined && value !== '')
  return {
    parts: {
      ...Object.fromEntries(present),
      ...(number === undefined || number === '' ? {} : { port: Number(number) }),
      options,
    },
  }
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) <= LARGEST_PORT
}

function decodeQuery(query: string): Record<string, string> | undefined {
  const found: Record<string, string> = {}
  for (const pair of query.split('&').filter((one) => one !== '')) {
    const at = pair.indexOf('=')
    const [key, value] = [decode(at < 0 ? pair : pair.slice(0, at)), decode(at < 0 ? '' : pair.slice(at + 1))]
    if (key === null || value === null) return undefined
    found[key] = value
  }
  return found
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

/** The same URL with `***` where its password is. The URL must be one. */
export function redactUrl(text: string): string {
  return text.replace(/^([a-z]+:\/\/[^:@/?]*:)[^@/?]+@/i, '$1***@').replace(/([?&]password=)[^&#]*/gi, '$1***')
}

/** For a first configuration: the URL stays in the environment. */
export function readUrl(url: string, parse: (config: unknown) => unknown): FromUrl | undefined {
  if (parseUrl(url).problem !== undefined) return undefined
  return {
    config: parse({ connection_url: url }),
    written: { connection_url: `\${${VARIABLE}}` },
    env: { [VARIABLE]: url },
    shown: { [VARIABLE]: redactUrl(url) },
  }
}

const VARIABLE = 'DATABASE_URL'
