/** Whether a configuration leads to where a run was: what is stored beside a journal says where secrets and statements go. */
import type { Place, Target } from '../core/target.ts'
import type { RunStarted } from '../journal/journal.ts'

type Where = Pick<Target, 'config' | 'endpoint'>

/** True also for what the target's schema does not take: that leads nowhere, and its own error says why. */
export function leadsToRun(started: RunStarted, target: Where, config: unknown): boolean {
  const key = keyOf(target, config)
  // An older version may have written addresses in another form: then what the run was defined with says the same.
  return key === undefined || key === started.endpoint || key === keyOf(target, definedAt(started))
}

/** The target_config of the run's definition, every secret replaced; undefined where it leads elsewhere than the run was. */
export function definedConfig(started: RunStarted, target: Where | undefined): unknown {
  const config = definedAt(started)
  const key = target && keyOf(target, config)
  return key === undefined || key === started.endpoint ? config : undefined
}

/** A place of the run in a configuration of its target; undefined where that does not lead there. `ids`: all of the run's. */
export function placeAt(
  target: Pick<Target, 'places' | 'config'> | undefined,
  config: unknown,
  place: string,
  ids: readonly string[],
): Place | undefined {
  const parsed = target?.config.safeParse(config)
  return parsed?.success === true ? target?.places?.at(parsed.data, place, ids) : undefined
}

function definedAt({ definition }: RunStarted): unknown {
  return (Object(definition) as { target_config?: unknown }).target_config
}

function keyOf(target: Where, config: unknown): string | undefined {
  const parsed = target.config.safeParse(config)
  if (!parsed.success) return undefined
  try {
    return target.endpoint(parsed.data).key
  } catch {
    return undefined
  }
}
