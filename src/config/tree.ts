/** A YAML document as plain data with its expressions filled in, remembering where each value is written. */
import { isAlias, isMap, isScalar, isSeq, Scalar, visit } from 'yaml'
import type { Alias, Document, Node, Pair } from 'yaml'
import type { Filled } from '../core/filled.ts'
import { interpolate, isInterpolated } from './interpolate.ts'
import type { Scope } from './interpolate.ts'
import { holdsSecret, isSecret, mayBeSecret } from './secrecy.ts'

export type Path = readonly (string | number)[]

export interface Origin {
  /** Offset of the key in the text; list items have none. */
  key?: number
  /** Offset of the value. */
  value: number
  /** The value is nothing, or lines below its key: a person looks for it at the key. */
  below: boolean
  /** For filled-in values: the expressions as written, to be shown in place of the value. */
  expressions?: string[]
}

export interface FilledAt extends Filled {
  path: Path
}

export interface Tree {
  value: unknown
  origins: Map<string, Origin>
  /** Every text that was filled in, and for which path. */
  filled: FilledAt[]
  /** Something could not be taken over at all: what the rest lacks says nothing. */
  broken: boolean
}

/** Values that may be reached through aliases; a few lines of YAML can stand for billions. */
const MOST_ALIASED = 100_000

export function originKey(path: Path): string {
  return JSON.stringify(path)
}

/** Reports every problem it meets and goes on. */
export function toTree(
  doc: Document,
  scope: Scope,
  report: (offset: number, path: Path, message: string) => void,
): Tree {
  const origins: Tree['origins'] = new Map()
  const filled: FilledAt[] = []
  const anchors = resolveAliases(doc)
  const open = new Set<Node>()
  let aliased = 0
  let broken = false
  let tooMany = false

  const convert = (node: unknown, path: Path, key?: number): unknown => {
    if (open.size > 0 && ++aliased > MOST_ALIASED) return undefined
    const place = (origin: Omit<Origin, 'key'>) =>
      origins.set(originKey(path), key === undefined ? origin : { key, ...origin })
    if (isAlias(node)) return convertAlias(node, path, key)
    if (isMap(node)) {
      place({ value: offsetOf(node), below: node.flow !== true })
      return convertMap(node.items, path)
    }
    if (isSeq(node)) {
      place({ value: offsetOf(node), below: node.flow !== true })
      return node.items.map((item, index) => convert(item, [...path, index]))
    }
    if (!isScalar(node)) {
      place({ value: key ?? 0, below: true })
      return null
    }
    return convertScalar(node, path, place)
  }

  const convertScalar = (node: Scalar, path: Path, place: (origin: Omit<Origin, 'key'>) => void): unknown => {
    const origin: Omit<Origin, 'key'> = { value: offsetOf(node), below: node.value === null }
    place(origin)
    const { value } = node
    if (typeof value === 'string' && isInterpolated(value)) {
      const { text, expressions, filled: parts, problems } = interpolate(value, scope)
      for (const { value: part, expression } of parts)
        filled.push({ text: part, shown: expression, secret: isSecret(part, expression, path), path })
      // Part of a longer text, it may be shown as a part of that.
      if (parts.length > 0 && !parts.some((part) => part.value === text))
        filled.push({ text, shown: expressions.join(' and '), secret: mayBeSecret(text, path), path })
      for (const problem of problems) report(origin.value, path, problem)
      if (expressions.length > 0) place({ ...origin, expressions })
      // A value that could not be filled in must not be complained about a second time.
      if (problems.length > 0) return UNKNOWN
      // A password of digits is a text all the same.
      return node.type === Scalar.PLAIN && node.tag === undefined && !holdsSecret(path) ? asPlain(text) : text
    }
    if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return value
    report(origin.value, path, 'is not plain text, a number, true or false: remove the "!!…" before it')
    return UNKNOWN
  }

  const convertAlias = (node: Alias, path: Path, key?: number): unknown => {
    const target = anchors.get(node)
    if (target === undefined) {
      report(
        offsetOf(node),
        path,
        'there is no such YAML anchor; if it is no alias, put quotes around the value that begins with "*"',
      )
      return UNKNOWN
    }
    if (open.has(target)) {
      broken = true
      report(offsetOf(node), path, 'this alias stands for something that it is itself a part of: write it out')
      return UNKNOWN
    }
    open.add(target)
    const value = convert(target, path, key)
    open.delete(target)
    if (open.size === 0 && aliased > MOST_ALIASED && !tooMany) {
      tooMany = broken = true
      report(offsetOf(node), path, `the aliases stand for more than ${MOST_ALIASED} values: write less of it`)
    }
    return value
  }

  /** `<<: *base`, `<<: [*near, *far]`: the keys of the others, each with the place where it is written. */
  const mergeInto = (map: Record<string, unknown>, node: unknown, offset: number, path: Path): void => {
    const sources = isSeq(node) ? node.items : [node]
    const at = origins.get(originKey(path))
    for (const source of sources.toReversed()) {
      const meant = isAlias(source) ? anchors.get(source) : source
      if (isMap(meant) || (isAlias(source) && meant === undefined)) {
        const merged = convert(source, path)
        if (typeof merged === 'object' && merged !== null)
          for (const [name, value] of Object.entries(merged)) define(map, name, value)
      } else {
        broken = true
        report(
          offset,
          path,
          'after "<<:" stands what is merged into this map: write "<<: *anchor" of a map, or a list of them',
        )
      }
    }
    if (at !== undefined) origins.set(originKey(path), at)
  }

  const convertMap = (items: Pair[], path: Path): unknown => {
    const map: Record<string, unknown> = {}
    // First, so that what the map says itself counts, and is where it is looked for.
    for (const { key, value } of items) if (isMerge(key)) mergeInto(map, value, offsetOf(key), path)
    for (const { key, value } of items) {
      if (isMerge(key)) continue
      const name = keyText(key)
      const offset = offsetOf(key)
      if (name === undefined) {
        report(offset, path, 'a key must be plain text')
        continue
      }
      if (isInterpolated(name)) report(offset, path, '"${…}" is filled in in values, not in keys: write the key out')
      define(map, name, convert(value, [...path, name], offset))
    }
    return map
  }

  const value = convert(doc.contents, [])
  return { value, origins, filled, broken }
}

/** Stands for a value that is already reported; it satisfies no schema. */
export const UNKNOWN: unique symbol = Symbol('unknown value')

function resolveAliases(doc: Document): Map<Alias, Node> {
  const latest = new Map<string, Node>()
  const resolved = new Map<Alias, Node>()
  visit(doc, {
    Node(_, node) {
      if (isAlias(node)) {
        const target = latest.get(node.source)
        if (target !== undefined) resolved.set(node, target)
      } else if (node.anchor !== undefined) latest.set(node.anchor, node)
    },
  })
  return resolved
}

function isMerge(key: unknown): boolean {
  return isScalar(key) && key.value === '<<' && key.type === Scalar.PLAIN
}

/** Also `__proto__`, which is a key like any other. */
function define(map: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(map, name, { value, enumerable: true, configurable: true, writable: true })
}

function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
}

function offsetOf(node: unknown): number {
  return typeof node === 'object' && node !== null && 'range' in node ? ((node as Node).range?.[0] ?? 0) : 0
}

/** What a text without quotes would have been read as: a number, true or false, else the text. */
function asPlain(text: string): string | number | boolean {
  const number = /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$/.test(text) ? Number(text) : NaN
  if (Number.isFinite(number)) return number
  if (/^(?:true|True|TRUE)$/.test(text)) return true
  if (/^(?:false|False|FALSE)$/.test(text)) return false
  return text
}
