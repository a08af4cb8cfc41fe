/** Wraps a function so that its calls can be broken: the same signature, `this`, name and length; a promise stays the same promise. */
import { callAsync, callWithFaults, learnt, LOOKS } from './call.ts'
import type { BareFunction, CallKind, CallSite, Inside } from './call.ts'
import type { Chaos } from './chaos.ts'
import { EVERY } from './component.ts'
import { FaultConfigError, readFault } from './fault.ts'
import type { FaultConfig } from './fault-type.ts'
import { copyMetadata } from './metadata.ts'
import { lookForOthers, planFor } from './plan.ts'
import type { Site } from './plan.ts'
import { Rule } from './rule.ts'
import type { FiredFault } from './rule.ts'
import { FaultSequence } from './sequence.ts'
import { listOf } from './unmet.ts'

/** Any function: nothing is assumed about its arguments. */
export type AnyFunction = (this: never, ...args: never[]) => unknown

export interface SiteOptions {
  /** Under which experiments and leases find the calls; default the function's name. */
  component?: string | undefined
  /** Faults of this site itself, in order; those with affected_components only where the component is one of them. */
  faults?: readonly FaultConfig[] | undefined
  /** The same seed gives the same sequence. */
  seed?: string | number | undefined
  /** A sequence that is recorded or replayed; counts instead of the seed. */
  sequence?: FaultSequence | undefined
  /** Told of every fault that has taken effect here. */
  fired?: ((fired: FiredFault) => void) | undefined
}

export interface WrapOptions extends SiteOptions {
  /** Whether it returns a promise. Only asked for plain functions, which show it with their first answer. */
  async?: boolean | undefined
  /** It answers by a callback `(error, answer)`, the last function among its arguments: faults do so, too. */
  callback?: boolean | undefined
}

export function wrapFunction<F extends AnyFunction>(chaos: Chaos, fn: F, options: WrapOptions): F {
  if (typeof fn !== 'function')
    throw new FaultConfigError('wrap takes a function: name the method, as in wrap(client.get.bind(client))')
  const name = options.component ?? (fn.name === '' ? 'anonymous' : fn.name)
  const kind = kindOf(fn, options.async)
  const found = siteOf(chaos, name, options)
  const looks = kind === 'unknown' ? LOOKS : found.own !== undefined || found.others !== undefined ? 1 : 0
  const site: CallSite = { ...found, kind, looks, fn, like: undefined, callback: options.callback === true }
  const { component } = site
  const bare = fn as unknown as BareFunction
  // A method, since it has a `this` and no prototype. No closure in it: that alone would cost more than the rest.
  const { wrapped } = {
    wrapped(this: unknown, ...args: unknown[]): unknown {
      component.calls++
      const plan = chaos.on ? planFor(site, args) : undefined
      // Also while nothing can fire: a later fault must know whether to throw or to reject.
      if (plan === undefined) return site.looks > 0 ? looked(site, bare.call(this, ...args)) : bare.call(this, ...args)
      return callWithFaults(site, plan, bare, this, args)
    },
  }
  if (chaos.state !== 'disabled') warnOfMethods(chaos, name, fn)
  const own: PropertyDescriptorMap = Object.getOwnPropertyDescriptors(fn)
  delete own['prototype']
  copyMetadata(fn, wrapped)
  return Object.defineProperties(wrapped, own) as unknown as F
}

/** `wrap(axios).get`: methods of a function stay what they are, and so meet no faults. */
function warnOfMethods(chaos: Chaos, name: string, fn: AnyFunction): void {
  const methods = Object.keys(fn).filter(
    (key) => typeof (Reflect.getOwnPropertyDescriptor(fn, key)?.value as unknown) === 'function',
  )
  const [first] = methods
  // The methods of mocks are not for the application to call.
  if (first === undefined || MOCKS.some((mark) => mark in fn)) return
  chaos.warn(
    `${name} has methods of its own (${listOf(methods)}), and only calls of ${name} itself meet faults: wrap each method that is to meet them, e.g. wrap(${name}.${first}, { component: ${JSON.stringify(`${name}.${first}`)} })`,
  )
}

/** Of jest and vitest, sinon, and node:test. */
const MOCKS = ['_isMockFunction', 'isSinonProxy', 'mock']

function looked(site: CallSite, answer: unknown): unknown {
  warnIfAsleep(site)
  if (site.others !== undefined && site.chaos.state !== 'disabled') lookForOthers(site)
  const given = learnt(site, answer)
  if (site.kind !== 'unknown' && site.kind !== 'sync') site.looks = 0
  return given
}

/** Faults that nobody has enabled would look like a passed test. */
function warnIfAsleep({ chaos, component, own }: Site): void {
  if (own !== undefined && chaos.state === 'idle')
    chaos.warn(
      `${component.name} has faults, but nothing is injected: call enable(), or start the process with CHAOS_ENABLED=1 (disable() says that it is meant so)`,
    )
}

/** A site for calls that are not of one function: adapters ask it around each call of their own. */
export interface AdapterSite {
  readonly component: string
  /** Runs an asynchronous call with whatever faults are in place; `signal` ends a wait, `inside` knows where the answer's data is. */
  call<T>(
    call: () => T | Promise<T>,
    signal?: AbortSignal,
    inside?: Inside<Awaited<T>>,
    /** What `when` of a fault looks at. */
    args?: readonly unknown[],
  ): Promise<T>
}

export function adapterSite(chaos: Chaos, component: string, options: SiteOptions): AdapterSite {
  const site = siteOf(chaos, component, options)
  return {
    component,
    async call<T>(
      call: () => T | Promise<T>,
      signal?: AbortSignal,
      inside?: Inside<Awaited<T>>,
      args?: readonly unknown[],
    ): Promise<T> {
      site.component.calls++
      const plan = chaos.on ? planFor(site, args) : undefined
      if (!chaos.on && site.own !== undefined) warnIfAsleep(site)
      return plan === undefined ? call() : callAsync<T | Promise<T>>(plan, call, signal, inside)
    },
  }
}

function siteOf(chaos: Chaos, name: string, { faults = [], seed, sequence, fired }: SiteOptions): Site {
  const component = chaos.component(name)
  component.wrapped = true
  const source = sequence ?? (seed === undefined ? chaos.sequence : new FaultSequence({ seed }))
  const read = faults.map((config, i) => readFault(config, `faults[${i}]`))
  const others = read.flatMap((fault) => fault.affected_components).filter((other) => other !== name && other !== EVERY)
  const own = read
    .map((fault, i) => ({ fault, i }))
    .filter(
      ({ fault: { affected_components: names } }) =>
        names.length === 0 || names.includes(name) || names.includes(EVERY),
    )
    .map(({ fault, i }) => {
      const track = source.track(`${name}/${i}`)
      const { memory, waits } = chaos
      const tell = (event: FiredFault) => {
        fired?.(event)
        chaos.tell(event)
      }
      return new Rule({ fault, component: name, track, memory, waits, fired: tell })
    })
  return { chaos, component, own: own.length > 0 ? own : undefined, others: others.length > 0 ? others : undefined }
}

const KINDS: Readonly<Record<string, CallKind>> = {
  AsyncFunction: 'async',
  GeneratorFunction: 'generator',
  AsyncGeneratorFunction: 'async_generator',
}

function kindOf(fn: AnyFunction, isAsync: boolean | undefined): CallKind {
  const tag = Object.prototype.toString.call(fn).slice('[object '.length, -1)
  if (Object.hasOwn(KINDS, tag)) return KINDS[tag] ?? 'unknown'
  return isAsync === undefined ? 'unknown' : isAsync ? 'async' : 'sync'
}
