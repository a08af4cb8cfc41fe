/**
 * postgresql.auto.conf, the file ALTER SYSTEM writes: its lines as the server reads them, and the statement that brings
 * it one line closer to how it was. Whoever undoes a change asks for that statement again and again, so that it does not
 * matter between which two of them an earlier attempt was killed.
 */
import { RollbackError } from '../../../../core/errors.ts'
import type { DbReader } from '../../client.ts'
import { quoteIdent, quoteLiteral, sqlState } from '../sql.ts'

/** One setting's line: the name as it is spelled there, and the value without quotes. */
export interface Line {
  name: string
  value: string
  /** The server takes several values for it, and we do not know whether it quotes them. */
  list?: boolean | undefined
}

/** What is needed to take one changed line back. */
export interface LineChange {
  /** As the changed line spells it. */
  name: string
  /** Of the changed line. */
  value: string
  /** Of the line before; null where there was none. */
  before: string | null
  /** Names that had a line before, in lower case and in the order of the file. */
  order: readonly string[]
  /** As of a line. */
  list?: boolean | undefined
}

/**
 * What the file says about a change, and the statement to run next:
 * `ours` is in place; `moved` has the old value, but the order of the lines is not back; `strays` is all that was known
 * before, only lines that others added meanwhile do not stand at the end; `restored` is as before; `foreign` was changed
 * by somebody else, whose word it is now.
 */
export type Undo = { state: 'ours' | 'moved' | 'strays'; statement: string } | { state: 'restored' | 'foreign' }

/** The lines in the order of the file. Of several for one setting the last one counts, as for the server. */
export async function readLines(db: Pick<DbReader, 'query'>): Promise<Line[]> {
  const rows = await db.query<{ name: string; value: string; vartype: string | null }>(
    `select f.name, f.setting as value, s.vartype from pg_catalog.pg_file_settings f
       left join pg_catalog.pg_settings s on lower(s.name) = lower(f.name)
      where f.sourcefile ~ '/postgresql\\.auto\\.conf$' and f.name is not null and f.setting is not null order by f.seqno`,
  )
  const last = rows.filter((row, i) => !rows.slice(i + 1).some((later) => sameName(later.name, row.name)))
  const lines: Line[] = []
  for (const { name, value, vartype } of last) {
    const list = vartype !== null && (await isUnknownList(db, { name, vartype }))
    lines.push(list ? { name, value, list } : { name, value })
  }
  return lines
}

/** Whether the server takes several values for a setting of which we do not know if it quotes them. */
export async function isUnknownList(
  db: Pick<DbReader, 'query'>,
  { name, vartype }: { name: string; vartype: string },
): Promise<boolean> {
  // Extensions may not define lists that are quoted.
  if (vartype !== 'string' || name.includes('.') || isKnown(name)) return false
  try {
    // Outside of a transaction it sets nothing, and how many values there may be is looked at first.
    await db.query(`set local ${quoteSetting(name)} = 'a', 'b'`)
    return true
  } catch (error) {
    if (sqlState(error) === undefined) throw error
    return routineOf(error) !== 'flatten_set_variable_args'
  }
}

/** The server's function that raised the error: what its message says depends on the language. */
function routineOf(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ('routine' in e && typeof e.routine === 'string') return e.routine
  }
  return undefined
}

export function lineOf(lines: readonly Line[], name: string): Line | undefined {
  return lines.find((line) => sameName(line.name, name))
}

export function nextUndo(lines: readonly Line[], change: LineChange): Undo {
  const now = lineOf(lines, change.name)?.value ?? null
  if (sameValue(change.name, now, change.value, change.list)) {
    return { state: 'ours', statement: backLine(change) }
  }
  if (!sameValue(change.name, now, change.before, change.list)) return { state: 'foreign' }
  // A line that was not there before has gone without moving any other.
  if (change.before === null) return { state: 'restored' }
  const next = nextToMove(
    lines.map((line) => line.name.toLowerCase()),
    change.order,
  )
  const line = next === undefined ? undefined : lineOf(lines, next)
  if (next === undefined || !line) return { state: 'restored' }
  if (change.order.includes(next)) return { state: 'moved', statement: setLine(line) }
  return isWritable(line) ? { state: 'strays', statement: setLine(line) } : { state: 'restored' }
}

/**
 * ALTER SYSTEM SET moves a line to the end of the file. The next name to move there on the way from the order `now` to
 * the order `before`, with names that are new since then at the end; undefined when that is the order. Lower case.
 */
export function nextToMove(now: readonly string[], before: readonly string[]): string | undefined {
  const wanted = [...before.filter((name) => now.includes(name)), ...now.filter((name) => !before.includes(name))]
  // What already stands in the wanted order from the first line on may stay where it is; all others go behind it.
  let at = 0
  for (const name of now) if (name === wanted[at]) at++
  return wanted[at]
}

/** Whether a line's value (null: no line) means the same; quoted lists may be written in several ways. */
export function sameValue(name: string, a: string | null, b: string | null, list = false): boolean {
  if (a === b || a === null || b === null || !(isQuotedList(name) || list)) return a === b
  const parts = (text: string): string => JSON.stringify(splitList(name, text).filter((part) => part !== ''))
  return parts(a) === parts(b)
}

/**
 * False for an empty list of libraries, which only a text editor can write: ALTER SYSTEM makes it a list of one library
 * without a name, and then the server lets nobody in. False, too, for a list of which we do not know whether the server
 * quotes it, unless it is one plain word, which means the same either way.
 */
export function isWritable({ name, value, list = false }: Line): boolean {
  if (list) return /^[a-z_][a-z0-9_]*$/.test(value)
  const mayBeEmpty = !isQuotedList(name) || ['search_path', 'temp_tablespaces'].includes(name.toLowerCase())
  return mayBeEmpty || splitList(name, value).some((part) => part !== '')
}

/** `ALTER SYSTEM SET "work_mem" = '4MB'`. Not inside a transaction block. Throws for a line that is not writable. */
export function setLine({ name, value, list }: Line): string {
  if (!isWritable({ name, value, list })) {
    const what = list ? 'list' : 'empty line'
    throw new RollbackError('RESIDUE', `ALTER SYSTEM cannot write the ${what} of ${name} again: remove it first`)
  }
  const parts = isQuotedList(name) ? splitList(name, value) : [value]
  const literals = (parts.length > 0 ? parts : ['']).map(quoteLiteral).join(', ')
  return `ALTER SYSTEM SET ${quoteSetting(name)} = ${literals}`
}

/** The statement that takes the changed line back. */
export function backLine({ name, before, list }: LineChange): string {
  return before === null ? resetLine(name) : setLine({ name, value: before, list })
}

export function resetLine(name: string): string {
  return `ALTER SYSTEM RESET ${quoteSetting(name)}`
}

/** Settings whose values the server stores as a list of quoted names: given as one literal, it would quote the whole list. */
const QUOTED_LISTS = [
  'local_preload_libraries',
  'oauth_validator_libraries',
  'output_plugin_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]

/** Texts that the server stores as they are given. The server is asked of those that are not here: whether it is a list. */
const PLAIN = `
  application_name archive_cleanup_command archive_command archive_library backtrace_functions bonjour_name
  client_encoding cluster_name createrole_self_grant datestyle debug_io_direct default_table_access_method
  default_tablespace default_text_search_config dynamic_library_path event_source extension_control_path jit_provider
  krb_server_keyfile lc_messages lc_monetary lc_numeric lc_time listen_addresses log_connections log_destination
  log_directory log_filename log_line_prefix log_timezone primary_conninfo primary_slot_name restore_command
  restrict_nonsystem_relation_kind ssl_ca_file ssl_cert_file ssl_ciphers ssl_crl_dir ssl_crl_file ssl_key_file
  synchronized_standby_slots synchronous_standby_names syslog_ident timezone timezone_abbreviations unix_socket_group
  wal_consistency_checking`
  .trim()
  .split(/\s+/)

export function isQuotedList(name: string): boolean {
  return QUOTED_LISTS.includes(name.toLowerCase())
}

function isKnown(name: string): boolean {
  return isQuotedList(name) || PLAIN.includes(name.toLowerCase())
}

/** The names in a list: `"$user", Public` → `$user`, `public`. Those of files and folders keep their capitals. */
export function splitList(name: string, text: string): string[] {
  const fold = ['search_path', 'temp_tablespaces'].includes(name.toLowerCase())
  return (text.match(/(?:"(?:[^"]|"")*"|[^,"])+/g) ?? []).map((raw) => {
    const part = raw.trim()
    if (part.startsWith('"')) return part.slice(1, -1).replaceAll('""', '"')
    return fold ? part.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()) : part
  })
}

const HEADER = ['# Do not edit this file manually!', '# It will be overwritten by the ALTER SYSTEM command.']
/** As the server writes a line: it knows no other escapes than the doubled quote and backslash. */
const WRITTEN = /^([A-Za-z_][\w$.]*) = '(?:[^'\\]|''|\\\\)*'$/

/** What of the file's text does not survive the server writing it anew: one sentence each, without any values. */
export function lostOnRewrite(text: string): string[] {
  const comments: number[] = []
  const edited: number[] = []
  const names: string[] = []
  for (const [index, line] of text.replace(/\n$/, '').split('\n').entries()) {
    if (HEADER[index] === line || line === '') continue
    const name = /^\s*([A-Za-z_][\w$.]*)/.exec(line)?.[1]
    if (name !== undefined) names.push(name.toLowerCase())
    if (name === undefined || (!WRITTEN.test(line) && line.replaceAll(/'(?:[^'\\]|''|\\.)*'/g, '').includes('#')))
      comments.push(index + 1)
    else if (!WRITTEN.test(line)) edited.push(index + 1)
  }
  const twice = [...new Set(names.filter((name, i) => names.indexOf(name) !== i))]
  const lost = (lines: number[], what: string): string[] =>
    lines.length === 0 ? [] : [`postgresql.auto.conf has ${what} in line ${lines.join(', ')}`]
  return [
    ...lost(comments, 'comments').map((s) => `${s}: ALTER SYSTEM drops them for good; keep a copy if you need them`),
    ...lost(edited, 'lines written by hand').map((s) => `${s}: ALTER SYSTEM writes them in its own form`),
    ...twice.map((name) => `postgresql.auto.conf has several lines for ${name}: of these only the last may be left`),
  ]
}

export function quoteSetting(name: string): string {
  return name.split('.').map(quoteIdent).join('.')
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
