/** A scratch place on a real system, for `chaos selftest`: its skills break it, and it says what is not as before. */

export interface SandboxOptions {
  /** A system that the user gives for it; without one, the sandbox starts its own. */
  url?: string
  /** Whose marks are looked for. */
  install: string
}

export interface Sandbox {
  /** One line: what it is, and where. */
  describe: string
  /** As parsed by the target's schema. */
  target_config: unknown
  /** Params of a skill in this sandbox; undefined for a skill that the sandbox does not know: then the skill's defaults. */
  params(skill: string): Record<string, unknown> | undefined
  /** Everything that must be as before, taken down. */
  picture(): Promise<Record<string, string>>
  /** Removes what it made. */
  close(): Promise<void>
}

/** How two pictures differ, a line each; empty when they do not. */
export function pictureDiff(before: Record<string, string>, now: Record<string, string>): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  return names
    .filter((name) => before[name] !== now[name])
    .map((name) => `${name}: ${before[name] ?? 'not there'} → ${now[name] ?? 'gone'}`)
}
