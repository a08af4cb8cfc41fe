/** `chaosMonkey` and `resilienceTest`: as standard decorators of methods, and as wrappers of functions. */
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
export type Wrapper = <F extends AnyFunction>(fn: F, context?: MethodContext) => F

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
  const { component, seed, sequence, fired, async, chaos: own, ...fault } = options
  const settings = { component: component ?? fault.affected_components?.[0], seed, sequence, fired, async }
  return wrapperOf(own ?? chaos, { ...settings, faults: [fault] })
}

/** Several faults. */
export function resilienceWrapper(chaos: Chaos, { chaos: own, ...options }: ResilienceOptions): Wrapper {
  return wrapperOf(own ?? chaos, options)
}

function wrapperOf(chaos: Chaos, options: WrapOptions): Wrapper {
  // Wrong fields show where they are written, not at the first call.
  for (const [i, fault] of (options.faults ?? []).entries()) readFault(fault, `faults[${i}]`)
  return (fn, context) => {
    if (typeof fn !== 'function' || (context !== undefined && context.kind !== 'method')) throw notAMethod(context)
    return wrapFunction(chaos, fn, { ...options, component: options.component ?? nameOf(context) })
  }
}

function nameOf(context: MethodContext | undefined): string | undefined {
  if (context === undefined) return undefined
  return typeof context.name === 'string' ? context.name : context.name.description
}

function notAMethod(context: MethodContext | undefined): FaultConfigError {
  if (context === undefined) return new FaultConfigError('only functions can be wrapped')
  const what = typeof context.kind === 'string' ? `a ${context.kind}` : 'a method with "experimentalDecorators"'
  return new FaultConfigError(
    `only methods can be decorated, as standard decorators (not "experimentalDecorators"), not ${what}: wrap the function itself`,
  )
}
