/** Listeners of an object that is late: what it tells them waits, in order, until its time has come. */

type Listener = (this: unknown, ...args: unknown[]) => unknown

const ADD = ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener', 'addEventListener']
const REMOVE = ['off', 'removeListener', 'removeEventListener']

export class LateListeners {
  readonly #before: (() => Promise<void>) | undefined
  readonly #late = new WeakMap<Listener, Listener>()
  #gate: Promise<void> | undefined
  #isOpen = false
  readonly #waiting: (() => void)[] = []

  constructor(before: (() => Promise<void>) | undefined) {
    this.#before = before
  }

  /** The method in place of one that adds or removes a listener; undefined for every other. */
  instead(object: object, property: PropertyKey): unknown {
    if (this.#before === undefined || typeof property !== 'string') return undefined
    const adds = ADD.includes(property)
    if (!adds && !REMOVE.includes(property)) return undefined
    const method: unknown = Reflect.get(object, property, object)
    if (typeof method !== 'function') return undefined
    const late = (listener: unknown): unknown => {
      if (typeof listener !== 'function') return listener
      return adds ? this.#lateOf(listener as Listener) : (this.#late.get(listener as Listener) ?? listener)
    }
    return function (this: unknown, event: unknown, listener: unknown, ...rest: unknown[]): unknown {
      const result: unknown = Reflect.apply(method, object, [event, late(listener), ...rest])
      return result === object ? this : result
    }
  }

  #lateOf(listener: Listener): Listener {
    const known = this.#late.get(listener)
    if (known) return known
    const tell = (work: () => void): void => this.#tell(work)
    const made: Listener = function (...args) {
      tell(() => void Reflect.apply(listener, this, args))
    }
    this.#late.set(listener, made)
    return made
  }

  #tell(work: () => void): void {
    if (this.#isOpen) {
      work()
      return
    }
    this.#waiting.push(work)
    const open = (): void => {
      this.#isOpen = true
      for (const one of this.#waiting.splice(0)) one()
    }
    this.#gate ??= this.#before?.().then(open, open)
  }
}
