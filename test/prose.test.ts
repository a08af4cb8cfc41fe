/** Facts travel as fields, and sentences are made from them at the edge: no code reads a sentence of ours to decide. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const PARTS = ['engine', 'supervisor', 'daemon', 'schedule', 'cli', 'observe']
/** What sentences are called. */
const SENTENCE = /(?:^|[.#?])(?:message|reason|detail|why|error|described?)$|^messageOf\(/
const READS = ['includes', 'startsWith', 'endsWith', 'match', 'matchAll', 'search', 'indexOf', 'split', 'replace']

/** Files that still look for the lines to type in the message that they end. The list can only get shorter. */
const NOT_YET: readonly string[] = ['cli/failed.ts', 'engine/survey.ts']

const root = fileURLToPath(new URL('../src/', import.meta.url))

test('nothing decides by reading a message, a reason or a detail', () => {
  const found = PARTS.flatMap((part) =>
    readdirSync(`${root}${part}`, { recursive: true, encoding: 'utf8' })
      .map((name) => `${part}/${name.replaceAll('\\', '/')}`)
      .filter((path) => path.endsWith('.ts'))
      .flatMap((path) => readersIn(path, readFileSync(`${root}${path}`, 'utf8'))),
  )
  const files = [...new Set(found.map((one) => one.split(':')[0] ?? ''))].sort()
  assert.deepEqual(files, NOT_YET, found.join('\n'))
})

test('the rule finds what it is for', () => {
  const wrong = [
    'if (error.message.includes("x")) f()',
    'const run = /^blocked by run (.*)/.exec(report.reason)',
    'const off = /gone/.test(messageOf(error))',
    "if (skip.reason === 'all slots are taken') f()",
    "messageOf(error).startsWith('cannot')",
  ]
  for (const text of wrong) assert.equal(readersIn('x.ts', text).length, 1, text)
  for (const text of ["if (skip.cause === 'busy') f()", 'reason === undefined', 'const text = `${error.message}.`'])
    assert.deepEqual(readersIn('x.ts', text), [], text)
})

/** Each as `path:line: text`. */
function readersIn(path: string, text: string): string[] {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (reads(node, tree)) {
      const { line } = tree.getLineAndCharacterOfPosition(node.getStart(tree))
      found.push(`${path}:${line + 1}: ${node.getText(tree)}`)
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

function reads(node: ts.Node, tree: ts.SourceFile): boolean {
  const isSentence = (one: ts.Node | undefined): boolean => one !== undefined && SENTENCE.test(one.getText(tree))
  if (ts.isBinaryExpression(node)) {
    const compares = [ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken]
    const sides = [node.left, node.right]
    if (!compares.includes(node.operatorToken.kind)) return false
    return sides.some(isSentence) && sides.some((side) => ts.isStringLiteralLike(side) && side.text.includes(' '))
  }
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return false
  const { expression: of, name } = node.expression
  if (READS.includes(name.text)) return isSentence(of)
  return ['test', 'exec'].includes(name.text) && ts.isRegularExpressionLiteral(of) && isSentence(node.arguments[0])
}
