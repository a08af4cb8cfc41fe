/**
 * The application's own switch and registry, and what people type: `enable()`, `disable()`, `wrap(fn)`, `@chaosMonkey(…)`.
 * One instance for the process, since a process has one switch, also where it loads several copies of the library.
 */
import { Chaos } from './chaos.ts'
import { monkeyWrapper, resilienceWrapper } from './decorators.ts'
import type { MonkeyOptions, ResilienceOptions, SiteSettings, Wrapper } from './decorators.ts'
import type { FaultConfig } from './fault-type.ts'
import { everyApplication, sharedApplication } from './shared.ts'
import { adapterSite, wrapFunction } from './wrap.ts'
import type { AdapterSite, AnyFunction } from './wrap.ts'

/** Empty where there is no Node. */
const ENV = (globalThis as { process?: { env: NodeJS.ProcessEnv } }).process?.env ?? {}

/** The instance that everything uses which is not given another. `CHAOS_ENABLED` is read once, when the library is loaded. */
export const application: Chaos = sharedApplication(() => new Chaos({ enabled: enabledBy(ENV['CHAOS_ENABLED']) }))

/** From now on faults are injected. The same as starting the process with CHAOS_ENABLED=1. */
export function enable(): void {
  for (const one of everyApplication()) one.enable()
  application.enable()
}

/** Takes every fault away at once, whoever put it in place, and refuses new ones until enable(). */
export function disable(): void {
  for (const one of everyApplication()) one.disable()
  application.disable()
}

/** One fault on a function: `@chaosMonkey({…})` above a method, or `chaosMonkey({…})(fn)`. */
export function chaosMonkey(options: MonkeyOptions): Wrapper {
  return monkeyWrapper(application, options)
}

/** Several faults, asked in order before each call. */
export function resilienceTest(options: ResilienceOptions): Wrapper {
  return resilienceWrapper(application, options)
}

type WrapSettings = SiteSettings & { faults?: readonly FaultConfig[] }

/**
 * Gives a function a component name, under which experiments and leases can break its calls; by itself it breaks nothing.
 * One with overloads, or with properties of its own, keeps them as `wrap<typeof fn>(fn)`.
 */
export function wrap<A extends unknown[], R, T>(
  fn: (this: T, ...args: A) => R,
  options?: WrapSettings,
): (this: T, ...args: A) => R
export function wrap<F extends AnyFunction>(fn: F, options?: WrapSettings): F
export function wrap(fn: AnyFunction, options: WrapSettings = {}): AnyFunction {
  return wrapFunction(options.chaos ?? application, fn, options)
}

/** The same for calls that are not of one function: `site.call(() => …, signal)`. */
export function callSite(
  component: string,
  options: Omit<SiteSettings, 'component' | 'async'> & { faults?: readonly FaultConfig[] } = {},
): AdapterSite {
  return adapterSite(options.chaos ?? application, component, options)
}

/** Undefined when nothing was said. */
function enabledBy(value: string | undefined): boolean | undefined {
  if (value === undefined || value.trim() === '') return undefined
  return !/^(0|false|no|off)$/i.test(value.trim())
}
