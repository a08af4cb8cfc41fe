/** What all copies of the library in one process share: its switch and registry, and what `instanceof` knows of its errors. */

/**
 * A CommonJS and an ES build, or two versions in a monorepo, are copies. Raise this when `Chaos` or what it hands out (Component,
 * Rule, Decision, Waits) changes in a way that a copy with the earlier form could not use.
 */
const SHAPE = 1

/** What every shape has. */
interface Switch {
  readonly state: string
  enable(): void
  disable(): void
}

const KEY = Symbol.for('chaos-agents.applications')

/** The one of this process; `make` is called by the first copy only. */
export function sharedApplication<T extends Switch>(make: () => T): T {
  const all = applications()
  const known = all.get(SHAPE)
  if (known) return known as T
  const made = make()
  const [other] = all.values()
  if (other?.state === 'enabled') made.enable()
  if (other?.state === 'disabled') made.disable()
  all.set(SHAPE, made)
  return made
}

/** Copies of all shapes, so that whoever is told to stop reaches each of them. */
export function everyApplication(): Iterable<Switch> {
  return applications().values()
}

function applications(): Map<number, Switch> {
  const place = globalThis as { [KEY]?: Map<number, Switch> }
  const known = place[KEY]
  if (known) return known
  const all = new Map<number, Switch>()
  // Not enumerable: nobody who lists the globals meets it.
  if (Object.isExtensible(place)) Object.defineProperty(place, KEY, { value: all })
  return all
}

/** `instanceof` by a mark instead of the prototype: an error of another copy is one of ours. Subclasses of others stay ordinary. */
export function knownToAllCopies(Class: abstract new (...args: never[]) => object, name: string): void {
  const mark = Symbol.for(`chaos-agents.${name}`)
  const ordinary = Object.getOwnPropertyDescriptor(Function.prototype, Symbol.hasInstance)?.value as (
    this: unknown,
    value: unknown,
  ) => boolean
  Object.defineProperty(Class.prototype, mark, { value: true })
  Object.defineProperty(Class, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      return this === Class ? typeof value === 'object' && value !== null && mark in value : ordinary.call(this, value)
    },
  })
}
