/**
 * A1–A4, drawn: whatever is wrapped, whichever fault, mode and time, the caller's work is done once, with the same `this`
 * and arguments; what comes back is what it was, and the very same where nothing fired.
 */
import fc from 'fast-check'
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { FAULT_MODES, FaultType, InjectedFaultError, wrap } from '../../src/faults/index.ts'
import type { FaultConfig, FaultMode } from '../../src/faults/index.ts'
import { enabled } from './helpers.ts'

const CALLS = 100_000

/** Work that was done, and the answer as the function itself gave it. */
interface Seen {
  calls: number
  work: number
  answer: unknown
  self: unknown
  args: readonly unknown[]
}

interface Subject {
  /** A function whose every call, or every use of its answer, counts its work. */
  make: (seen: Seen) => (...args: unknown[]) => unknown
  /** Uses an answer as its caller would, once. */
  use: (answer: unknown) => unknown
  /** The answer is what it was, also under a fault that only delays. */
  is: (answer: unknown) => boolean
  isAsync: boolean
}

const DATA = { id: 1, text: 'abcdef', list: [1, 2, 3] }

class Query {
  #seen: Seen
  #parts: string[] = []
  constructor(seen: Seen) {
    this.#seen = seen
  }
  where(part: string): this {
    this.#parts.push(part)
    return this
  }
  toSQL(): string {
    return this.#parts.join(' ')
  }
  then(ok?: (value: unknown) => unknown, fail?: (error: unknown) => unknown): Promise<unknown> {
    this.#seen.work++
    return Promise.resolve({ ...DATA, sql: this.toSQL() }).then(ok, fail)
  }
}

class ApiPromise extends Promise<unknown> {
  static override get [Symbol.species]() {
    return Promise
  }
  #response = { status: 200 }
  withResponse(): Promise<unknown> {
    return this.then((data) => ({ data, response: this.#response }))
  }
}

class Chunks {
  #seen: Seen
  controller = new AbortController()
  constructor(seen: Seen) {
    this.#seen = seen
  }
  async *[Symbol.asyncIterator]() {
    this.#seen.work++
    for (const n of [1, 2, 3]) yield await Promise.resolve({ n })
  }
  tee(): Chunks[] {
    return [new Chunks(this.#seen), new Chunks({ ...this.#seen })]
  }
}

class Emitting extends EventEmitter {
  #private = 7
  read(): number {
    return this.#private
  }
}

const drain = async (items: unknown): Promise<void> => {
  for await (const item of items as AsyncIterable<unknown>) assert.notEqual(item, undefined)
}
/** A function that counts one call as its work. */
const counting = (answer: () => unknown) => (seen: Seen) =>
  function (this: unknown, ...args: unknown[]): unknown {
    Object.assign(seen, { calls: seen.calls + 1, work: seen.work + 1, self: this, args })
    return (seen.answer = answer())
  }
/** A function whose work begins when its answer is used. */
const lazy = (answer: (seen: Seen) => unknown) => (seen: Seen) =>
  function (this: unknown, ...args: unknown[]): unknown {
    Object.assign(seen, { calls: seen.calls + 1, self: this, args })
    return (seen.answer = answer(seen))
  }
const has = (name: string) => (answer: unknown) => typeof (answer as Record<string, unknown>)[name] === 'function'
const thenable = (seen: Seen) => ({
  then(ok: (value: unknown) => unknown) {
    seen.work++
    ok(DATA)
  },
})

const SUBJECTS: Record<string, Subject> = {
  plain: { make: counting(() => DATA), use: (a) => a, is: () => true, isAsync: false },
  'class instance': {
    make: counting(() => new Emitting()),
    use: (a) => (a as Emitting).read(),
    is: (a) => a instanceof Emitting && a.read() === 7,
    isAsync: false,
  },
  promise: {
    make: counting(() => Promise.resolve(DATA)),
    use: (a) => a,
    is: (a) => a instanceof Promise,
    isAsync: true,
  },
  async: {
    make: (seen) =>
      async function (this: unknown, ...args: unknown[]) {
        Object.assign(seen, { calls: seen.calls + 1, work: seen.work + 1, self: this, args })
        return Promise.resolve(DATA)
      },
    use: (a) => a,
    is: (a) => a instanceof Promise,
    isAsync: true,
  },
  'lazy thenable': { make: lazy(thenable), use: (a) => a, is: has('then'), isAsync: true },
  'frozen thenable': {
    make: lazy((seen) => Object.freeze(thenable(seen))),
    use: (a) => a,
    is: has('then'),
    isAsync: true,
  },
  'callable thenable': {
    make: lazy((seen) => Object.assign(() => 1, thenable(seen))),
    use: (a) => a,
    is: (a) => typeof a === 'function' && (a as () => unknown)() === 1,
    isAsync: true,
  },
  'getter for then': {
    make: lazy((seen) => ({
      get then() {
        seen.work++
        return (ok: (value: unknown) => unknown) => ok(DATA)
      },
    })),
    use: (a) => a,
    is: () => true,
    isAsync: true,
  },
  'proxy with a then': {
    make: lazy(
      (seen) =>
        new Proxy({}, { get: (_, name) => (name === 'then' ? (seen.work++, (ok: (v: unknown) => void) => ok(1)) : 1) }),
    ),
    use: (a) => a,
    is: (a) => (a as { anything: number }).anything === 1,
    isAsync: true,
  },
  builder: {
    make: lazy((seen) => new Query(seen)),
    use: (a) => (a as Query).where('x').where('y'),
    is: (a) => a instanceof Query && a.where('z') === a && a.toSQL() === 'z',
    isAsync: true,
  },
  'promise with methods': {
    make: counting(() => new ApiPromise((resolve) => resolve(DATA))),
    use: (a) => (a as ApiPromise).withResponse(),
    is: (a) => a instanceof ApiPromise,
    isAsync: true,
  },
  'mixed-in promise': {
    make: counting(() => Object.assign(Promise.resolve(DATA), { kill: () => true })),
    use: (a) => a,
    is: has('kill'),
    isAsync: true,
  },
  stream: {
    make: counting(() => Readable.from([{ n: 1 }, { n: 2 }, { n: 3 }])),
    use: drain,
    is: (a) => a instanceof Readable,
    isAsync: true,
  },
  'web stream': {
    make: counting(
      () =>
        new ReadableStream({
          start(c) {
            c.enqueue({ n: 1 })
            c.close()
          },
        }),
    ),
    use: drain,
    is: (a) => a instanceof ReadableStream,
    isAsync: true,
  },
  chunks: {
    make: lazy((seen) => new Chunks(seen)),
    use: drain,
    is: (a) => a instanceof Chunks && a.tee().length === 2,
    isAsync: true,
  },
  'async generator': {
    make: (seen) =>
      async function* (this: unknown, ...args: unknown[]) {
        Object.assign(seen, { calls: seen.calls + 1, work: seen.work + 1, self: this, args })
        yield await Promise.resolve({ n: 1 })
      },
    use: drain,
    is: has('next'),
    isAsync: true,
  },
  iterator: {
    make: (seen) =>
      function* (this: unknown, ...args: unknown[]) {
        Object.assign(seen, { calls: seen.calls + 1, work: seen.work + 1, self: this, args })
        yield { n: 1 }
      },
    use: (a) => [...(a as Iterable<unknown>)],
    is: has('next'),
    isAsync: false,
  },
  'callback style': {
    make: (seen) =>
      function (this: unknown, ...args: unknown[]): void {
        Object.assign(seen, { calls: seen.calls + 1, work: seen.work + 1, self: this, args })
      },
    use: (a) => a,
    is: (a) => a === undefined,
    isAsync: false,
  },
}

const EXTRA: Partial<Record<FaultMode | FaultType, Partial<FaultConfig>>> = {
  latency: { duration_ms: 1 },
  error: { error_code: 503 },
  timeout: { duration_ms: 1 },
  hold_memory: { hold_bytes: 1, duration_ms: 0 },
}
const FAULTS: FaultConfig[] = Object.values(FaultType).flatMap((fault_type) =>
  FAULT_MODES[fault_type].map((mode) => ({ fault_type, mode, ...EXTRA[fault_type], ...EXTRA[mode] })),
)
const TIMES: Partial<FaultConfig>[] = [
  {},
  { probability: 0 },
  { probability: 0.5 },
  { every_nth: 2 },
  { first_n: 1 },
  { after_calls: 2 },
  { burst: { calls: 1, every: 3 } },
]
const PER_CASE = 5
const self = { name: 'the caller' }

/** Calls one wrapped function some times, and says how often work was done more than once. */
async function drawn(name: string, fault: FaultConfig, timing: Partial<FaultConfig>, seed: number): Promise<number> {
  const subject = SUBJECTS[name]
  assert.ok(subject)
  const fired: string[] = []
  const seen: Seen = { calls: 0, work: 0, answer: undefined, self: undefined, args: [] }
  const chaos = enabled()
  const fn = wrap(subject.make(seen), {
    faults: [{ ...fault, ...timing }],
    fired: () => fired.push('x'),
    chaos,
    seed,
    component: name,
  })
  let twice = 0
  for (let i = 0; i < PER_CASE; i++) {
    Object.assign(seen, { calls: 0, work: 0, answer: undefined })
    fired.length = 0
    const args = [i, {}]
    const what = `${name}, ${JSON.stringify({ ...fault, ...timing })}, call ${i + 1}`
    let raised: unknown
    try {
      const answer = fn.apply(self as never, args)
      if (fired.length === 0 && seen.calls === 1 && fault.mode !== 'hold_slots' && isSeen(seen) && !mayChange(fault))
        assert.equal(answer, seen.answer, `${what}: not the very same`)
      if (fault.fault_type === 'latency') assert.ok(subject.is(answer), `${what}: it is something else`)
      await subject.use(answer)
    } catch (error) {
      raised = error
    }
    if (raised !== undefined) assert.ok(raised instanceof InjectedFaultError, `${what}: ${inspect(raised)}`)
    if (seen.work > 1 || seen.calls > 1) twice++
    assert.ok(seen.work <= 1 && seen.calls <= 1, `${what}: done ${seen.work} times`)
    if (raised === undefined) assert.equal(seen.work, 1, `${what}: not done`)
    if (seen.calls === 1) assert.deepEqual([seen.self === self, seen.args], [true, args], what)
  }
  return twice
}

const isSeen = ({ answer }: Seen): boolean => answer !== undefined
/** An answer that comes later may still be another: then the fault fires with it. */
const mayChange = ({ fault_type: type, mode }: FaultConfig): boolean =>
  ['partial_failure', 'data_corruption'].includes(type) && mode !== 'raise'

test(`${CALLS.toLocaleString('en-US')} calls over all that can be wrapped, faults, modes and times: none does its work twice`, async (t) => {
  let [calls, twice] = [0, 0]
  // Every combination once, and then drawn ones.
  for (const name of Object.keys(SUBJECTS))
    for (const fault of FAULTS)
      for (const timing of TIMES) {
        twice += await drawn(name, fault, timing, 1)
        calls += PER_CASE
      }
  const combinations = calls / PER_CASE
  const draws = fc.sample(
    fc.tuple(
      fc.constantFrom(...Object.keys(SUBJECTS)),
      fc.constantFrom(...FAULTS),
      fc.constantFrom(...TIMES),
      fc.integer({ min: 2 }),
    ),
    { numRuns: Math.ceil(CALLS / PER_CASE) - combinations },
  )
  const SIDE_BY_SIDE = 200
  for (let i = 0; i < draws.length; i += SIDE_BY_SIDE) {
    const part = draws.slice(i, i + SIDE_BY_SIDE).map(async (draw) => {
      twice += await drawn(...draw)
      calls += PER_CASE
    })
    await Promise.all(part)
  }
  t.diagnostic(`${calls.toLocaleString('en-US')} calls, ${combinations} combinations, ${twice} done twice`)
  console.log(`${calls.toLocaleString('en-US')} wrapped calls over ${combinations} combinations, ${twice} done twice`)
  assert.equal(twice, 0)
  assert.ok(calls >= CALLS)
})
