/** The secret values a command may meet, so that its sinks can take them out of every text. */
import type { Experiment, Settings } from '../core/experiment.ts'
import type { Target } from '../core/target.ts'
import type { StateDir } from '../journal/state-dir.ts'

/** Those of the configuration. */
export function secretsOf(targets: readonly Target[], experiments: readonly Experiment[]): string[] {
  return experiments.flatMap((e) => targets.find((t) => t.name === e.target)?.secrets(e.target_config) ?? [])
}

export function settingsSecrets({ health }: Settings): string[] {
  return health?.token === undefined ? [] : [health.token]
}

/** Those that open runs were started with. */
export async function storedSecrets(targets: readonly Target[], state: StateDir): Promise<string[]> {
  const found: string[] = []
  for (const { started } of await state.journals()) {
    const target = targets.find((t) => t.name === started?.target)
    const stored = started && target?.config.safeParse(await state.secret(started.run))
    if (target && stored?.success === true) found.push(...target.secrets(stored.data))
  }
  return found
}
