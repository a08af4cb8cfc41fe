/** SQL text for PostgreSQL: the one quoting function for identifiers, and for literals where nothing can be bound. */

/** `a"b` → `"a""b"`. */
export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** `{schema, table}` → `"schema"."table"`. */
export function quoteTable(table: { schema: string; table: string }): string {
  return `${quoteIdent(table.schema)}.${quoteIdent(table.table)}`
}

/** For statements that take no parameters (ALTER SYSTEM, SET, LOCK). */
export function quoteLiteral(value: string): string {
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return value.includes('\\') ? ` E${quoted}` : quoted
}
