/** F6: no regular expression of src takes more than linear time, whatever a hostile peer sends it. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import ts from 'typescript'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))

/** Characters of an attack. A quadratic expression needs seconds for it, a linear one less than a millisecond. */
const LENGTH = 60_000
/** CPU time: other processes do not count. */
const MOST_MS = 250

interface Found {
  where: string
  source: string
  flags: string
}

function literals(): Found[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return files.flatMap((name) => {
    const text = readFileSync(join(SRC, name), 'utf8')
    const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
    const found: Found[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isRegularExpressionLiteral(node)) {
        const end = node.text.lastIndexOf('/')
        const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1
        found.push({ where: `${name}:${line}`, source: node.text.slice(1, end), flags: node.text.slice(end + 1) })
      }
      ts.forEachChild(node, visit)
    }
    visit(file)
    return found
  })
}

/** What is repeated: common characters, the expression's own words, and what begins a part of it that may go on and on. */
function pumps(source: string): string[] {
  const words = source.replaceAll(/\\[a-zA-Z](?:\{[^}]*\})?/g, ' ').match(/\w+|[^\w\s\\]/g) ?? []
  const common = [' ', '\n', '\t', '.', '=', '(', '=(', "'", '"', ':', ': ', '-', '/', '\\', 'a', 'A', '1', '1 ', 'a ', ',', '$', '${', '{', '[', '<', '*', '%', '#', '_', '@', '\u00e9', '1.', 'a.', 'a=', '\r\n', 'a-'] // prettier-ignore
  return [...new Set([...common, ...words, ...words.slice(0, 8).map((word) => `${word} `)])]
}

/** Milliseconds of CPU time; undefined where it was ended. */
function costOf(context: object, { source, flags }: Found, text: string): number | undefined {
  Object.assign(context, { source, flags: `${flags.replace('g', '')}g`, text })
  const before = process.cpuUsage()
  try {
    runInContext('text.replace(new RegExp(source, flags), "")', context, { timeout: 20_000 })
  } catch {
    return undefined
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

test('F6: every regular expression of src, attacked with 60,000 characters of all that it looks for', (t) => {
  const context = createContext({})
  const all = literals()
  const slow: string[] = []
  let attacks = 0
  for (const one of all) {
    const unique = pumps(one.source)
    for (const pump of unique) {
      const body = pump.repeat(Math.ceil(LENGTH / pump.length))
      // The end decides whether all that was looked at was in vain.
      for (const text of [`${body}\u0001`, `x${body}x`]) {
        attacks++
        let cost = costOf(context, one, text)
        // Once may be a collection of garbage.
        if (cost !== undefined && cost > MOST_MS) cost = costOf(context, one, text)
        if (cost !== undefined && cost <= MOST_MS) continue
        slow.push(
          `${one.where}: /${one.source}/${one.flags}: ${cost ?? 'more than 20,000'} ms for ${JSON.stringify(pump)}`,
        )
        break
      }
      if (slow.at(-1)?.startsWith(`${one.where}: /${one.source}/`)) break
    }
  }
  t.diagnostic(`${attacks} attacks on ${all.length} expressions`)
  assert.ok(all.length > 150)
  assert.deepEqual(slow, [])
})
