/** What a look at a target finds: what is there, and what each skill could do with it. Plain JSON; looking changes nothing. */
import type { Resource, Skipped } from './skill.ts'

/** A resource that a skill could touch, and params that make it do so. */
export interface Served {
  resource: string
  describe: string
  params: Record<string, unknown>
}

export interface SkillSurvey {
  skill: string
  served: Served[]
  /** What it could not touch, why, and what would lift the reason. */
  skipped: Skipped[]
  notes: string[]
}

export interface Survey {
  target: string
  identity: Record<string, string | null>
  summary: string
  resources: Resource[]
  skills: SkillSurvey[]
}

/** A URL as a target understands it. */
export interface FromUrl {
  /** `target_config` with everything filled in; contains secrets. */
  config: unknown
  /** The same as it may stand in a file: `${VAR}` where a secret is. */
  written: Record<string, unknown>
  /** The variables of `written`, with their values… */
  env: Record<string, string>
  /** …and as they may be shown. */
  shown: Record<string, string>
}

/** An experiment worth having in a first configuration. */
export interface Suggestion {
  name: string
  /** For whoever opens the file: what it does, and to whom. */
  comment: string
  skill: string
  /** In order of preference; the first that can be planned is written. Empty: nothing fits. */
  params: readonly Record<string, unknown>[]
  /** As it stands in a file: `5m`. */
  duration: string
  /** False for what a person should look at before it runs every night. */
  enabled: boolean
  /** Why nothing fits, and what would change that. */
  otherwise?: string
}
