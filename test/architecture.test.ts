/** The rules of the design that a compiler does not check: who may know whom, and who alone may do certain things. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, posix } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** Longest file, lines. */
const LONGEST = 400

/** Part of src → the parts it may import besides itself; undefined is every part. */
const MAY_IMPORT: Record<string, readonly string[] | undefined> = {
  core: [],
  faults: [],
  journal: ['core'],
  observe: ['core'],
  schedule: ['core'],
  config: ['core', 'schedule'],
  'targets/application': ['core', 'faults'],
  engine: ['core', 'journal'],
  supervisor: ['core', 'journal', 'engine'],
  daemon: ['core', 'journal', 'engine', 'schedule', 'supervisor'],
  mcp: ['core', 'faults'],
  planner: ['core', 'config'],
  'mcp-server': ['core', 'config'],
  cli: ['config', 'core', 'daemon', 'engine', 'faults', 'journal', 'mcp', 'observe', 'schedule', 'supervisor'],
  'index.ts': ['core', 'faults'],
  'app.ts': undefined,
  'main.ts': undefined,
}

/** Parts of the database target that know no dialect: all but its configuration and its list of dialects. And the dialects. */
const NEUTRAL = /^targets\/database\/(?!(?:index|config)\.ts$)/
const DIALECT = /^targets\/database\/(postgres|mysql)\//

/** What no sentence for a person has: a statement, its parameters and casts, names of a server's own. */
const SQL =
  /\bselect\b.*\bfrom\b|\b(?:insert into|delete from|order by|group by|for update|returning|is not null|not exists)\b|::(?:[a-z]{2}|…)|\$\d|\bpg_\w|\bOPERATOR\b|\b(?:SELECT .|INSERT INTO|DELETE FROM|LOCK TABLE)\b|\b(?:coalesce|count|max|min)\(/s

/** Files that wait in a way of their own, and why. The list can only get shorter. */
const WAITS_BY_HAND: Record<string, string> = {
  'core/clock.ts': 'what the others are made of: one long wait is several timers',
  'core/until.ts': 'what the others are made of',
  'core/within.ts': 'what the others are made of',
  'daemon/control/client.ts': 'a silence, which begins anew with each line',
  'daemon/control/server.ts': 'lets answers out before it ends their connections, and does not wait for that',
  'engine/rollback.ts': 'an undo ends when it makes no progress, not after a time',
  'engine/steps.ts': 'steps that are spread over the soak; an apply is aborted, and has a grace to end by itself then',
  'journal/install.ts': 'a few attempts at a file that another process is writing',
  'mcp/http-proxy.ts': 'an answer or the cancellation of its caller, whatever comes first; no timer',
  'mcp/stdio-proxy.ts': 'the end of the server or of the client, whatever comes first; no timer',
  'schedule/schedule.ts': 'sleeps until the next due time, for as long as it runs',
  'supervisor/worker-process.ts': 'a silence, which begins anew with each heartbeat',
  'targets/application/fault-skill.ts': 'an undo that says between two looks that it is alive',
  'targets/application/renewal.ts': 'a lease is renewed for as long as it is held',
  'targets/database/postgres/blockers.ts': 'looks for as long as a session waits',
  'targets/database/postgres/claims.ts': 'the first of its connections to end; no timer',
  'targets/database/postgres/connect/connection.ts':
    'ends with its signal alone: the driver never settles what is closed meanwhile',
  'targets/database/rows/retry.ts': 'a few attempts, each after an error of its own',
}

/** What the package exports. */
const ENTRY = /^(?:index|faults\/(?:index|browser|library)|faults\/adapters\/index)\.ts$/

interface Source {
  /** Path below src, with slashes. */
  path: string
  tree: ts.SourceFile
  /** Paths below src of the files of ours that it imports, types included. */
  imports: string[]
}

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = readSources()

test('a file imports only from the parts of src that its own part may know', () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports.filter((to) => !mayImport(path, to)).map((to) => `${path} imports ${to}`),
  )
  assert.deepEqual(wrong, [])
})

test('what is not a dialect of the database imports none and holds no SQL, and a dialect imports no other', () => {
  const wrong = sources.flatMap(({ path, tree, imports }) => {
    const own = DIALECT.exec(path)?.[1]
    if (own === undefined && !NEUTRAL.test(path)) return []
    const others = imports.filter((to) => (DIALECT.exec(to)?.[1] ?? own) !== own).map((to) => `${path} imports ${to}`)
    if (own !== undefined) return others
    const asks = nodes(tree).filter((n) => ts.isPropertyAccessExpression(n) && n.name.text === 'query')
    const texts = nodes(tree).filter(
      (n) => (ts.isStringLiteralLike(n) || ts.isTemplateExpression(n)) && SQL.test(textOf(n)),
    )
    return [...others, ...[...asks, ...texts].map((n) => `${path}:${lineOf(tree, n)}: ${n.getText(tree)}`)]
  })
  assert.deepEqual(wrong, [])
})

test('what is taken for SQL is found in a dialect', () => {
  const found = sources.filter(
    ({ path, tree }) => DIALECT.test(path) && nodes(tree).some((n) => ts.isStringLiteralLike(n) && SQL.test(n.text)),
  )
  assert.notEqual(found.length, 0)
})

test('every part of src has its import rule', () => {
  const known = (part: string) => part in MAY_IMPORT || part.startsWith('targets')
  assert.deepEqual(
    [...new Set(sources.map(({ path }) => partOf(path)))].filter((part) => !known(part)),
    [],
  )
})

test('only app.ts imports the registry of targets', () => {
  const importers = sources.filter(({ imports }) => imports.includes('targets/index.ts')).map(({ path }) => path)
  assert.deepEqual(
    importers.filter((path) => path !== 'app.ts'),
    [],
  )
})

test('no file imports itself, not even through others', () => {
  assert.deepEqual(findCycles(), [])
})

test('a name is imported from the file that defines it: only what the package exports is exported again', () => {
  const again = sources.flatMap(({ path, tree }) =>
    tree.statements
      .filter((s) => ts.isExportDeclaration(s) && s.moduleSpecifier !== undefined)
      .map((s) => `${path}: ${s.getText(tree)}`),
  )
  assert.deepEqual(
    again.filter((text) => !ENTRY.test(text.split(':')[0] ?? '')),
    [],
  )
})

test('every exported function, class and constant is used by another file, of src or of the tests', () => {
  const others = ['test', 'bench', 'scripts', 'docs'].flatMap(readUsers)
  const unused = sources.flatMap(({ path, tree }) => {
    if (ENTRY.test(path)) return []
    const inSrc = sources.filter(({ imports }) => imports.includes(path)).map((source) => source.tree.text)
    const outside = others.filter(({ imports }) => imports.has(`../src/${path}`)).map(({ text }) => text)
    const used = new Set([...inSrc, ...outside].flatMap((text) => text.match(/[\w$]+/g) ?? []))
    return exportedValues(tree)
      .filter((name) => !used.has(name))
      .map((name) => `${path}: ${name}`)
  })
  assert.deepEqual(unused, [])
})

test('a wait has its end from within, atMost or until: nobody else races a timer, or polls', () => {
  const byHand = sources.filter(({ path, tree }) => !/^faults\//.test(path) && nodes(tree).some(isWaitByHand))
  assert.deepEqual(
    byHand.map(({ path }) => path),
    Object.keys(WAITS_BY_HAND),
    'use core/within.ts or core/until.ts; a file of the list that does must leave it',
  )
})

test('only main.ts ends the process', () => {
  const calls = callsWhere(({ object, method }) => object === 'process' && method === 'exit')
  assert.deepEqual(
    calls.filter((call) => !call.startsWith('main.ts:')),
    [],
  )
})

test('outside core, the targets and the fault library (which knows no steps) only engine/steps.ts applies a step, and only engine/rollback.ts reverts one', () => {
  for (const [name, owner] of [
    ['apply', 'engine/steps.ts'],
    ['revert', 'engine/rollback.ts'],
  ] as const) {
    const calls = callsWhere(({ method }) => method === name)
    assert.deepEqual(
      calls.filter((call) => !/^(core|targets|faults)\//.test(call) && !call.startsWith(`${owner}:`)),
      [],
    )
  }
})

test('the planner plans: it applies, reverts and runs nothing', () => {
  const calls = callsWhere(({ method }) => ['apply', 'revert', 'run'].includes(method))
  assert.deepEqual(
    calls.filter((call) => call.startsWith('planner/')),
    [],
  )
})

test('a skill file defines exactly the skill of its own name, and all skills of a target have its prefix', () => {
  const prefixes = new Map<string, string>()
  for (const source of sources) {
    const [, target, file] = /^targets\/([^/]+)\/skills\/(.+)\.ts$/.exec(source.path) ?? []
    if (target === undefined || file === undefined) continue
    const names = skillNames(source.tree)
    const prefix = prefixes.get(target) ?? names[0]?.split('.')[0] ?? ''
    prefixes.set(target, prefix)
    assert.deepEqual(names, [`${prefix}.${file}`], source.path)
  }
})

test('no module holds state of its own in a let or var', () => {
  const found = sources.flatMap(({ path, tree }) =>
    tree.statements
      .filter((s) => ts.isVariableStatement(s) && (s.declarationList.flags & ts.NodeFlags.Const) === 0)
      .map((s) => `${path}:${lineOf(tree, s)}: ${s.getText(tree).split('\n')[0] ?? ''}`),
  )
  assert.deepEqual(found, [])
})

test(`no file of src is longer than ${LONGEST} lines`, () => {
  const long = sources.map(({ path, tree }) => ({ path, lines: tree.text.trimEnd().split('\n').length }))
  assert.deepEqual(
    long.filter(({ lines }) => lines > LONGEST),
    [],
  )
})

function mayImport(from: string, to: string): boolean {
  const [part, other] = [partOf(from), partOf(to)]
  if (part === other) return true
  // The registry names every target; a target knows nothing but core.
  if (part === 'targets') return other === 'core' || other.startsWith('targets/')
  if (part in MAY_IMPORT) return MAY_IMPORT[part]?.includes(other) ?? true
  return part.startsWith('targets/') && other === 'core'
}

/** `engine`, `targets/database`, `targets` (its index.ts), or the file itself at the top. */
function partOf(path: string): string {
  const parts = path.split('/')
  return parts[0] === 'targets' ? parts.slice(0, -1).slice(0, 2).join('/') : (parts[0] ?? '')
}

/** Each as `a.ts → b.ts → a.ts`, starting from where a walk first meets it. */
function findCycles(): string[] {
  const importsOf = new Map(sources.map(({ path, imports }) => [path, imports]))
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (path: string, above: readonly string[]) => {
    if (above.includes(path)) cycles.push([...above.slice(above.indexOf(path)), path].join(' → '))
    if (above.includes(path) || done.has(path)) return
    for (const next of importsOf.get(path) ?? []) walk(next, [...above, path])
    done.add(path)
  }
  for (const { path } of sources) walk(path, [])
  return cycles
}

/** Calls of the form `object.method(…)`, each as `path:line: text`. */
function callsWhere(matches: (call: { object: string; method: string }) => boolean): string[] {
  return sources.flatMap(({ path, tree }) =>
    nodes(tree)
      .filter(ts.isCallExpression)
      .filter(({ expression: e }) => {
        return ts.isPropertyAccessExpression(e) && matches({ object: e.expression.getText(tree), method: e.name.text })
      })
      .map((call) => `${path}:${lineOf(tree, call)}: ${call.expression.getText(tree)}(…)`),
  )
}

/** A race, a loop that sleeps, or a promise of a timer. */
function isWaitByHand(node: ts.Node): boolean {
  if (ts.isIterationStatement(node, false)) return nodes(node.statement).some((n) => isCallOf(n, 'sleep'))
  if (ts.isNewExpression(node))
    return node.getText().startsWith('new Promise') && nodes(node).some((n) => isCallOf(n, 'setTimeout'))
  return isCallOf(node, 'race')
}

/** `name(…)` or `object.name(…)`. */
function isCallOf(node: ts.Node, name: string): boolean {
  if (!ts.isCallExpression(node)) return false
  const { expression: called } = node
  return (ts.isPropertyAccessExpression(called) ? called.name.text : called.getText()) === name
}

/** Every `name: 'prefix.skill'` of a file. */
function skillNames(tree: ts.SourceFile): string[] {
  return nodes(tree)
    .filter(ts.isPropertyAssignment)
    .filter(({ name, initializer }) => name.getText(tree) === 'name' && ts.isStringLiteral(initializer))
    .map(({ initializer }) => (initializer as ts.StringLiteral).text)
    .filter((text) => /^\w+\.\w+$/.test(text))
}

/** Names of the functions, classes and constants that a file exports. */
function exportedValues(tree: ts.SourceFile): string[] {
  return tree.statements.flatMap((s) => {
    if (!ts.canHaveModifiers(s) || !ts.getModifiers(s)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword))
      return []
    if (ts.isVariableStatement(s)) return s.declarationList.declarations.map(({ name }) => name.getText(tree))
    return ts.isFunctionDeclaration(s) || ts.isClassDeclaration(s) ? [s.name?.text ?? 'default'] : []
  })
}

function readSources(): Source[] {
  return filesOf('src').map((path) => {
    const tree = ts.createSourceFile(path, readFileSync(`${root}src/${path}`, 'utf8'), ts.ScriptTarget.Latest, true)
    return { path, tree, imports: importsOf(path, tree) }
  })
}

/** Who may use what src exports, from another folder; the paths that it imports are relative to src, too. */
function readUsers(folder: string): { text: string; imports: Set<string> }[] {
  return filesOf(folder).map((name) => {
    const text = readFileSync(`${root}${folder}/${name}`, 'utf8')
    const specifiers = [...text.matchAll(/'(\.{1,2}\/[^']+\.ts)'/g)].map(([, specifier = '']) => specifier)
    return { text, imports: new Set(specifiers.map((to) => posix.join('..', folder, dirname(name), to))) }
  })
}

function filesOf(folder: string): string[] {
  return readdirSync(`${root}${folder}`, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ts'))
    .sort()
}

/** `import … from`, `export … from`, `import(…)` and `typeof import(…)` of relative paths. */
function importsOf(path: string, tree: ts.SourceFile): string[] {
  const specifiers = nodes(tree).flatMap((node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier ?? []
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      return node.arguments[0] ?? []
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal
    return []
  })
  const texts = specifiers.flatMap((s) => (ts.isStringLiteralLike(s) ? [s.text] : []))
  return [...new Set(texts.filter((t) => t.startsWith('.')).map((t) => posix.join(dirname(path), t)))]
}

function nodes(tree: ts.Node): ts.Node[] {
  const all: ts.Node[] = []
  const visit = (node: ts.Node) => {
    all.push(node)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return all
}

/** What stands in quotes, without what is put in. */
function textOf(node: ts.Node): string {
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isTemplateExpression(node)) return ''
  return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join('…')
}

function lineOf(tree: ts.SourceFile, node: ts.Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}
