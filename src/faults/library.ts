/** What the library exports wherever it runs; index.ts and browser.ts add how it connects to a daemon. */
export { ERROR_BODIES, FAULT_MODES, FaultType } from './fault-type.ts'
export type { ErrorBody, FaultConfig, FaultMode, Range } from './fault-type.ts'
export {
  ChaosDisabledError,
  ChaosError,
  ChaosTimeoutError,
  DataCorruptionError,
  InjectedFaultError,
  PartialFailureError,
  ResourceExhaustedError,
} from './errors.ts'
export { FaultConfigError } from './fault.ts'
export type { Fault } from './fault.ts'
export { Chaos } from './chaos.ts'
export type { ChaosOptions, ChaosState, LeaseOptions } from './chaos.ts'
export type { Lease } from './lease.ts'
export type { Placement, PlacementOptions } from './placement.ts'
export { application, callSite, chaosMonkey, disable, enable, resilienceTest, wrap } from './enable.ts'
export type { MethodContext, MonkeyOptions, ResilienceOptions, SiteSettings, Wrapper } from './decorators.ts'
export type { Change, Inside, StreamHow } from './call.ts'
export type { AdapterSite, AnyFunction } from './wrap.ts'
export type { ChaosConnection, ConnectOptions } from './connect/connection.ts'
export { FaultInjector } from './injector.ts'
export type { InjectOptions, InjectorOptions } from './injector.ts'
export type { FiredFault } from './rule.ts'
export { FaultSequence } from './sequence.ts'
export type { SavedSequence, SequenceOptions } from './sequence.ts'
export { ExperimentObserver } from './observer.ts'
export type { Observation, ObserverOptions } from './observer.ts'
export { ExperimentScheduler } from './scheduler.ts'
export type { SchedulerOptions } from './scheduler.ts'
export type {
  ChaosExperiment,
  CompleteExperiment,
  ExperimentResult,
  ExperimentStatus,
  ExperimentSummary,
} from './experiment.ts'
