/**
 * postgresql.auto.conf, the file ALTER SYSTEM writes: its lines as the server reads them, and the statement that brings
 * it one line closer to how it was. Whoever undoes a change asks for that statement again and again, so that it does not
 * matter between which two of them an earlier attempt was killed.
 */
import { RollbackError } from '../../core/errors.ts'
import type { DbReader } from './client.ts'
import { quoteIdent, quoteLiteral } from './sql.ts'

/** One setting's line: the name as it is spelled there, and the value without quotes. */
export interface Line {
  name: string
  value: string
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
  const rows = await db.query<{ name: string; value: string }>(
    `select name, setting as value from pg_catalog.pg_file_settings
      where sourcefile ~ '/postgresql\\.auto\\.conf$' and name is not null and setting is not null order by seqno`,
  )
  return rows.filter((row, i) => !rows.slice(i + 1).some((later) => sameName(later.name, row.name)))
}

export function lineOf(lines: readonly Line[], name: string): Line | undefined {
  return lines.find((line) => sameName(line.name, name))
}

export function nextUndo(lines: readonly Line[], change: LineChange): Undo {
  const now = lineOf(lines, change.name)?.value ?? null
  if (sameValue(change.name, now, change.value)) {
    return { state: 'ours', statement: backLine(change) }
  }
  if (!sameValue(change.name, now, change.before)) return { state: 'foreign' }
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
export function sameValue(name: string, a: string | null, b: string | null): boolean {
  if (a === b || a === null || b === null || !isQuotedList(name)) return a === b
  const parts = (text: string): string => JSON.stringify(splitList(name, text).filter((part) => part !== ''))
  return parts(a) === parts(b)
}

/**
 * False for an empty list of libraries, which only a text editor can write: ALTER SYSTEM makes it a list of one library
 * without a name, and then the server lets nobody in.
 */
export function isWritable({ name, value }: Line): boolean {
  const mayBeEmpty = !isQuotedList(name) || ['search_path', 'temp_tablespaces'].includes(name.toLowerCase())
  return mayBeEmpty || splitList(name, value).some((part) => part !== '')
}

/** `ALTER SYSTEM SET "work_mem" = '4MB'`. Not inside a transaction block. Throws for a line that is not writable. */
export function setLine({ name, value }: Line): string {
  if (!isWritable({ name, value })) {
    throw new RollbackError('RESIDUE', `ALTER SYSTEM cannot write the empty line of ${name} again: remove it first`)
  }
  const parts = isQuotedList(name) ? splitList(name, value) : [value]
  const literals = (parts.length > 0 ? parts : ['']).map(quoteLiteral).join(', ')
  return `ALTER SYSTEM SET ${quoteSetting(name)} = ${literals}`
}

/** The statement that takes the changed line back. */
export function backLine({ name, before }: LineChange): string {
  return before === null ? resetLine(name) : setLine({ name, value: before })
}

export function resetLine(name: string): string {
  return `ALTER SYSTEM RESET ${quoteSetting(name)}`
}

/** Settings whose values the server stores as a list of quoted names: given as one literal, it would quote the whole list. */
const QUOTED_LISTS = [
  'local_preload_libraries',
  'oauth_validator_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]

export function isQuotedList(name: string): boolean {
  return QUOTED_LISTS.includes(name.toLowerCase())
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
