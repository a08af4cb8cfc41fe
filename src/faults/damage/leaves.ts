/** Looks into plain data: its values one by one, and copies in which one of them is another. */

export type Steps = readonly (string | number)[]

export interface Leaf {
  path: Steps
  value: unknown
}

/** Data beyond these is left as it is: a fault must not become the slowest part of a call. */
const MOST_LEAVES = 10_000
const DEEPEST = 100

export type PlainObject = Record<string, unknown>

/** A map made of `{…}` or JSON; instances of classes are their owner's business. */
export function isPlain(value: unknown): value is PlainObject {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** The values that are neither lists nor maps, in order; each object is looked into once. */
export function leavesOf(root: unknown): Leaf[] {
  const leaves: Leaf[] = []
  visit(root, (value, path) => {
    if (!Array.isArray(value) && !isPlain(value)) leaves.push({ path, value })
  })
  return leaves
}

/** Calls `each` for the value, for everything inside, and so on. */
export function visit(root: unknown, each: (value: unknown, path: Steps) => void): void {
  const seen = new Set<unknown>()
  let left = MOST_LEAVES
  const walk = (value: unknown, path: Steps): void => {
    if (left-- <= 0 || path.length > DEEPEST) return
    const inner = Array.isArray(value) || isPlain(value)
    if (inner && seen.has(value)) return
    each(value, path)
    if (!inner) return
    seen.add(value)
    for (const [key, child] of Object.entries(value)) walk(child, [...path, Array.isArray(value) ? Number(key) : key])
  }
  walk(root, [])
}

/** A copy in which another value stands at the path; what is not on the path is shared with the original. */
export function withValue(root: unknown, path: Steps, value: unknown): unknown {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (Array.isArray(root))
    return (root as unknown[]).map((item, i) => (i === step ? withValue(item, rest, value) : item))
  if (!isPlain(root)) return root
  const copy = Object.create(
    Object.getPrototypeOf(root) as object | null,
    Object.getOwnPropertyDescriptors(root),
  ) as object
  const inner = withValue(root[step], rest, value)
  Object.defineProperty(copy, step, { value: inner, enumerable: true, configurable: true, writable: true })
  return copy
}

/** A copy that later changes do not reach; what cannot be copied is the value itself. */
export function copyOf(value: unknown): unknown {
  // A copy of a class's instance would be no instance any more.
  if (leavesOf(value).some((leaf) => isInstance(leaf.value))) return value
  try {
    return structuredClone(value)
  } catch {
    return value
  }
}

function isInstance(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return ![Date, Map, Set, RegExp, ArrayBuffer].some((Known) => value instanceof Known) && !ArrayBuffer.isView(value)
}
