/** One configuration text: its data, where everything in it is written, and what has been found wrong with it. */
import { LineCounter } from 'yaml'
import { formatProblem } from '../core/errors.ts'
import type { ConfigProblem } from '../core/errors.ts'
import { maskOf } from '../core/filled.ts'
import type { Filled } from '../core/filled.ts'
import type { Scope } from './interpolate.ts'
import { mayBeSecret, scrubber, showKey } from './secrecy.ts'
import { parseYaml } from './syntax.ts'
import { originKey, toTree, UNKNOWN } from './tree.ts'
import type { FilledAt, Path, Tree } from './tree.ts'

/** A value as it may be shown to people. */
export interface Seen {
  /** The value; absent where it must not be shown, or is not there. */
  value?: string | number | boolean
  /** A short text for "got …": `"fast"`, `the number 3`, `text from ${MODE}`, `nothing`. */
  text: string
  kind: 'missing' | 'nothing' | 'text' | 'number' | 'boolean' | 'list' | 'map'
}

export interface Source {
  file: string
  /** Plain data; undefined when the text could not be read. */
  value: unknown
  problems: ConfigProblem[]
  warnings: string[]
  /** Says what is wrong with the value at `path`; where there is none, the place is that of the nearest thing around it. */
  problem(path: Path, message: string): void
  /** The same, but the place is the key's own. */
  keyProblem(path: Path, message: string): void
  warn(path: Path, message: string): void
  get(path: Path): unknown
  seen(path: Path): Seen
  lineOf(path: Path): number
  /** What was filled in at the path and below it, and may not be shown. */
  filledBelow(path: Path): Filled[]
  /** Takes every filled-in value and everything like a password out of a text that somebody else wrote about `path`. */
  scrub(message: string, path: Path): string
}

export function openSource(file: string, text: string, scope: Scope): Source {
  const lines = new LineCounter()
  const problems: ConfigProblem[] = []
  const warnings: string[] = []
  const said = new Set<string>()

  let mask = maskOf([])
  const entry = (offset: number, path: Path, message: string): ConfigProblem => {
    const { line, col } = lines.linePos(offset)
    return { file, line, column: col, path: mask.text(formatPath(path)), message: mask.text(message) }
  }
  const add = (offset: number, path: Path, message: string) => {
    const problem = entry(offset, path, message)
    const id = `${problem.line}:${problem.column}:${message}`
    // A value that is used twice through an alias is wrong once.
    if (!said.has(id)) problems.push(problem)
    said.add(id)
  }

  const { doc, problems: syntax } = parseYaml(text, lines)
  for (const { offset, message } of syntax) add(offset, [], message)
  const readable = doc !== undefined && syntax.every((p) => p.readable)
  const tree: Tree = readable
    ? toTree(doc, scope, add)
    : { value: undefined, origins: new Map(), filled: [], broken: true }
  const scrub = scrubber(tree.filled.map((one) => one.text))
  const hidden = tree.filled.filter(isHidden)
  mask = maskOf(hidden)

  const offsetOf = (path: Path, ofKey: boolean): number => {
    for (let length = path.length; length >= 0; length--) {
      const origin = tree.origins.get(originKey(path.slice(0, length)))
      if (origin === undefined) continue
      const atKey = ofKey || origin.below || length < path.length
      return atKey ? (origin.key ?? origin.value) : origin.value
    }
    return 0
  }

  const get = (path: Path): unknown => valueAt(tree.value, path)

  return {
    file,
    value: tree.broken ? undefined : tree.value,
    problems,
    warnings,
    get,
    problem: (path, message) => {
      if (get(path) !== UNKNOWN) add(offsetOf(path, false), path, message)
    },
    keyProblem: (path, message) => add(offsetOf(path, true), path, message),
    warn: (path, message) => {
      warnings.push(formatProblem(entry(offsetOf(path, false), path, message)))
    },
    lineOf: (path) => lines.linePos(offsetOf(path, false)).line,
    seen: (path) => see(get(path), path, tree.origins.get(originKey(path))?.expressions),
    filledBelow: (path) => distinct(hidden.filter((one) => path.every((step, index) => one.path[index] === step))),
    scrub: (message, path) => scrub(message, get(path)),
  }
}

/** Where only words of the product may stand, or a name that everybody calls an experiment by. */
const WORDS: ReadonlySet<unknown> = new Set([
  ...['name', 'target', 'skill_name', 'db_type', 'timezone', 'on_busy', 'on_missed', 'failsafe', 'trust'],
  ...['lock_mode', 'template', 'sslmode', 'parallel', 'enabled', 'spread', 'pace', 'where'],
])

function isHidden({ secret, path }: FilledAt): boolean {
  return secret || !WORDS.has(path.at(-1))
}

function distinct(filled: readonly FilledAt[]): Filled[] {
  const known = filled.map(
    ({ text, shown, secret }) => [JSON.stringify([text, shown, secret]), { text, shown, secret }] as const,
  )
  return [...new Map(known).values()]
}

/** What stands at the path in plain data, or undefined. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, step) => {
    const has = typeof at === 'object' && at !== null && Object.hasOwn(at, step)
    return has ? (at as Record<PropertyKey, unknown>)[step] : undefined
  }, value)
}

/** `experiments[0].skills[1].params.rows`. */
function formatPath(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (!/^[\w-]+$/.test(step)) return `[${showKey(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
}

const KINDS = { string: 'text', number: 'number', boolean: 'boolean' } as const

function see(value: unknown, path: Path, expressions: string[] | undefined): Seen {
  if (value === undefined) return { kind: 'missing', text: 'nothing' }
  if (value === null) return { kind: 'nothing', text: 'nothing' }
  if (Array.isArray(value)) return { kind: 'list', text: 'a list' }
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    return { kind: 'map', text: 'a map' }
  }
  const kind = KINDS[typeof value as keyof typeof KINDS]
  const name = { text: 'text', number: 'a number', boolean: 'true or false' }[kind]
  if (expressions !== undefined) {
    return { kind, text: `${value === '' ? 'nothing' : name} from ${expressions.join(' and ')}` }
  }
  if (mayBeSecret(value, path)) return { kind, text: `${name} that is not shown here: it may hold a password` }
  if (typeof value === 'number') return { kind, value, text: `the number ${value}` }
  if (typeof value === 'boolean') return { kind, value, text: String(value) }
  return { kind, value, text: JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value) }
}
