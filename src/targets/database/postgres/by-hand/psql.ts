/** What a person runs in psql where we cannot undo: lines for a shell, with every value written out and nothing left to fill in. */
import { oneLine } from '../../../../core/foreign.ts'
import { config, placeOf, psqlUrl } from '../../config.ts'
import { quoteLiteral } from '../sql.ts'
import { TEXT_FORM } from '../text-form.ts'
import type { Value } from '../../rows/batch.ts'

/**
 * psql, started on the run's database, with the statements as its input: each ends by itself (`;` or `\gexec`). The first
 * that fails ends it. The password is asked for, or found where libpq looks for it.
 */
export function inPsql(target: unknown, statements: readonly string[]): string[] {
  const settings = Object.entries(TEXT_FORM).map(([name, value]) => `set ${name} = ${quoteLiteral(value)};`)
  // No name and no value of a server has a zero byte, and shells differ in what they make of one.
  const input = [...settings, 'set search_path = pg_catalog;', ...statements].flatMap((text) =>
    text.replaceAll('\0', '').split('\n'),
  )
  // A name with a line break in it must not end the input and go on in the shell.
  let end = 'CHAOS'
  while (input.includes(end)) end += '_'
  return [`PGCLIENTENCODING=UTF8 psql -X -q -v ON_ERROR_STOP=1 ${shellQuote(urlOf(target))} <<'${end}'`, ...input, end]
}

/** A line that the shell passes over. */
export function remark(text: string): string {
  return `# ${oneLine(text)}`
}

/** On one line, whatever is in the value. */
export function literal(value: Value): string {
  if (value === null) return 'null'
  if (!/[\\\n\r]/.test(value)) return quoteLiteral(value)
  const escaped = value.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n').replaceAll('\r', '\\r')
  return `E'${escaped}'`
}

/** The statement with its parameters written out in place of $1, $2, … */
export function writtenOut(sql: string, params: readonly (string | readonly Value[])[]): string {
  return sql.replaceAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\$(\d+)/g, (token, number: string | undefined) => {
    if (number === undefined) return token
    const value = params[Number(number) - 1] ?? ''
    return typeof value === 'string' ? literal(value) : `array[${value.map(literal).join(', ')}]`
  })
}

/** `do $chaos$ … $chaos$;`, with a tag that does not occur in the body. */
export function doBlock(body: string): string {
  let tag = '$chaos$'
  while (body.includes(tag)) tag = tag.replace(/\$$/, '_$')
  return `do ${tag}\n${body}\n${tag};`
}

/** The run's connection URL without its password. */
function urlOf(given: unknown): string {
  const read = config.safeParse(given)
  return read.success ? psqlUrl(placeOf(read.data)) : 'postgres://HOST:5432/DATABASE'
}

function shellQuote(text: string): string {
  return `'${text.replaceAll('\0', '').replaceAll("'", `'\\''`)}'`
}
