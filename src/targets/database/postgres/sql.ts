/** SQL text for PostgreSQL: the one quoting function for identifiers, and for literals where nothing can be bound; and its error codes. */

/** `a"b` → `"a""b"`. */
export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Of the types that the server comes with. */
export const EQUALITY = 'OPERATOR(pg_catalog.=)'

/** `{schema, table}` → `"schema"."table"`. */
export function quoteTable(table: { schema: string; table: string }): string {
  return `${quoteIdent(table.schema)}.${quoteIdent(table.table)}`
}

/** For statements that take no parameters (ALTER SYSTEM, SET, LOCK). */
export function quoteLiteral(value: string): string {
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return value.includes('\\') ? ` E${quoted}` : quoted
}

/** What would lift a missing privilege: `GRANT USAGE ON SCHEMA "s" TO "role";`. */
export function grantLine(privileges: string, on: string, role: string): string {
  return `GRANT ${privileges} ON ${on} TO ${quoteIdent(role)};`
}

/** Types that the server comes with, as it writes them. Anything else that stands in a journal is not put into a statement. */
const BUILTIN =
  /^(?:smallint|integer|bigint|real|double precision|money|text|name|bytea|date|boolean|uuid|jsonb?|xml|inet|cidr|macaddr8?|oid|pg_lsn|(?:numeric|character varying|character|bit|bit varying|interval)(?:\(\d{1,6}(?:,-?\d{1,6})?\))?|time(?:stamp)?(?:\(\d\))? with(?:out)? time zone)(?:\[\])?$/

export function isBuiltinType(type: string): boolean {
  return BUILTIN.test(type)
}

/** The SQLSTATE of an error or of its cause, e.g. `55P03`; undefined when the server said nothing. */
export function sqlState(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = e.cause) {
    // Errors of the operating system have codes too, and EPIPE looks like one of the server.
    if ('code' in e && !('syscall' in e) && typeof e.code === 'string' && /^[0-9A-Z]{5}$/.test(e.code)) return e.code
  }
  return undefined
}
