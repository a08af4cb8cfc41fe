/** Takes a condition, as the server prints it, apart into those that must all hold. */

/** The parts between the outermost ANDs; the condition itself where there are none. */
export function conjunctsOf(sql: string): string[] {
  const inner = unwrapped(sql.trim())
  const parts: string[] = []
  let [depth, cases, from] = [0, 0, 0]
  for (const { index, 0: token } of inner.matchAll(TOKENS)) {
    if (token === '(' || token === '[') depth++
    else if (token === ')' || token === ']') depth--
    else if (/^case$/i.test(token)) cases++
    else if (/^end$/i.test(token)) cases--
    else if (/^and$/i.test(token) && depth === 0 && cases === 0) {
      parts.push(inner.slice(from, index))
      from = index + token.length
    } else if (/^or$/i.test(token) && depth === 0 && cases === 0) return [inner]
  }
  if (parts.length === 0) return [inner]
  return [...parts, inner.slice(from)].flatMap(conjunctsOf)
}

/** Whether a name occurs in an expression; what stands in texts and longer names does not count. */
export function speaksOf(sql: string, name: string): boolean {
  return [...sql.matchAll(TOKENS)].some(({ 0: token }) =>
    token.startsWith('"') ? token.slice(1, -1).replaceAll('""', '"') === name : token === name,
  )
}

const TOKENS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_$]*|[()[\]]/gu

/** Without parentheses around the whole. */
function unwrapped(sql: string): string {
  if (!sql.startsWith('(')) return sql
  let depth = 0
  for (const { index, 0: token } of sql.matchAll(TOKENS)) {
    if (token === '(') depth++
    if (token === ')') depth--
    if (depth === 0) return index === sql.length - 1 ? unwrapped(sql.slice(1, -1).trim()) : sql
  }
  return sql
}
