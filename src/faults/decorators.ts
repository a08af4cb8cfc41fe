/** `chaosMonkey` and `resilienceTest`: as decorators of methods, standard ones and TypeScript's older ones, and as wrappers of functions. */
import type { Chaos } from './chaos.ts'
import { FaultConfigError, readFault } from './fault.ts'
import type { FaultConfig } from './fault-type.ts'
import { wrapFunction } from './wrap.ts'
import type { AnyFunction, WrapOptions } from './wrap.ts'

/** What of a decorator's context is needed; any method's fits. */
export interface MethodContext {
  readonly kind: string
  readonly name: string | symbol
}

/** `@wrapper` above a method, or `wrapper(fn)`. The type stays what it is. */
export interface Wrapper {
  <F extends AnyFunction>(fn: F, context?: MethodContext): F
  /** With `experimentalDecorators`. */
  <M>(target: object, name: string | symbol, descriptor: TypedPropertyDescriptor<M>): TypedPropertyDescriptor<M>
}

export interface SiteSettings extends Omit<WrapOptions, 'faults'> {
  /** The switch and registry to belong to; the application's unless told. */
  chaos?: Chaos
}

/** One fault, with the settings of its site beside its fields. */
export type MonkeyOptions = FaultConfig & SiteSettings

export interface ResilienceOptions extends SiteSettings {
  /** Each is asked in order before every call; the first that raises ends the asking. */
  faults: readonly FaultConfig[]
}

/** One fault. Its component is named by `component`, else by the first of affected_components, else by the function. */
export function monkeyWrapper(chaos: Chaos, options: MonkeyOptions): Wrapper {
  const { component, seed, sequence, fired, async, callback, chaos: own, ...fault } = options
  const settings = { component: component ?? fault.affected_components?.[0], seed, sequence, fired, async, callback }
  return wrapperOf(own ?? chaos, { ...settings, faults: [fault] })
}

/** Several faults. */
export function resilienceWrapper(chaos: Chaos, { chaos: own, ...options }: ResilienceOptions): Wrapper {
  return wrapperOf(own ?? chaos, options)
}

function wrapperOf(chaos: Chaos, options: WrapOptions): Wrapper {
  // Wrong fields show where they are written, not at the first call.
  for (const [i, fault] of (options.faults ?? []).entries()) readFault(fault, `faults[${i}]`)
  const wrapped = <F extends AnyFunction>(fn: F, name: string | symbol | undefined): F =>
    wrapFunction(chaos, fn, { ...options, component: options.component ?? textOf(name) })
  const wrapper = (first: unknown, context?: MethodContext | string | symbol, descriptor?: PropertyDescriptor) => {
    if (typeof context === 'string' || typeof context === 'symbol') {
      const method: unknown = descriptor?.value
      if (typeof method !== 'function') throw notAMethod('a property or an accessor')
      return { ...descriptor, value: wrapped(method as AnyFunction, context) }
    }
    if (context !== undefined && context.kind !== 'method') throw notAMethod(`a ${context.kind}`)
    if (typeof first !== 'function') throw new FaultConfigError('only functions can be wrapped')
    if (isClass(first)) throw notAMethod('a class')
    return wrapped(first as AnyFunction, context?.name)
  }
  return wrapper as Wrapper
}

function textOf(name: string | symbol | undefined): string | undefined {
  return typeof name === 'symbol' ? name.description : name
}

function isClass(fn: unknown): boolean {
  return /^class\b/.test(Function.prototype.toString.call(fn))
}

function notAMethod(what: string): FaultConfigError {
  return new FaultConfigError(`only methods can be decorated, not ${what}: wrap the function itself`)
}
