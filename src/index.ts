/** What the package exports: the types of its JSON output and of its extension points. */
export type { ChaosEvent } from './core/events.ts'
export type { Report, StepReport, Outcome } from './core/report.ts'
export type { SkillSpec, Planned, Inspection } from './core/skill.ts'
export type { Identity } from './core/identity.ts'
export type { Agent, Target } from './core/target.ts'
export * from './faults/index.ts'
