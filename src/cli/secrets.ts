/** The secret values a command may meet, so that its sinks can take them out of every text. */
import type { Experiment, Settings } from '../core/experiment.ts'
import type { NotifySink } from '../core/notify.ts'
import type { Target } from '../core/target.ts'
import type { Runs } from '../journal/runs.ts'
import type { Secrets } from '../journal/secrets.ts'

/** Those of the configuration. */
export function secretsOf(targets: readonly Target[], experiments: readonly Experiment[]): string[] {
  return experiments.flatMap((e) => targets.find((t) => t.name === e.target)?.secrets(e.target_config) ?? [])
}

/** Those of `settings`. */
export function settingsSecrets({ health, notify = [] }: Settings): string[] {
  return [...(health?.token === undefined ? [] : [health.token]), ...notifySecrets(notify)]
}

/** Those of `settings.notify`. A webhook's path and query count: whoever knows that of Slack may write to the channel. */
export function notifySecrets(sinks: readonly NotifySink[]): string[] {
  return sinks.flatMap((sink) => {
    if ('command' in sink) return []
    const { href, pathname, search, searchParams } = new URL(sink.webhook)
    const headers = Object.values(sink.headers)
      .flatMap((value) => [value, ...value.split(' ').slice(1)])
      .filter((value) => value.length >= SHORTEST_HEADER)
    const place = `${pathname}${search}`
    return [
      ...[sink.webhook, href, place, ...pathname.split('/')].filter(looksSecret),
      ...searchParams.values(),
      ...[sink.secret ?? '', sink.routing_key ?? '', ...headers],
    ].filter((value) => value !== '')
  })
}

/** `Accept: text` is no secret. */
const SHORTEST_HEADER = 8

/** Words of a path are no secrets, and would be taken out of every text. */
function looksSecret(part: string): boolean {
  return part.length >= 8 && /\d|[A-Z]/.test(part.replace(/^https?:\/\/[^/]*/, ''))
}

/** Those that open runs were started with. */
export async function storedSecrets(
  targets: readonly Target[],
  { runs, secrets }: { runs: Runs; secrets: Secrets },
): Promise<string[]> {
  const found: string[] = []
  for (const { started } of await runs.list()) {
    const target = targets.find((t) => t.name === started?.target)
    const stored = started && target?.config.safeParse(await secrets.read(started.run).catch(() => undefined))
    if (target && stored?.success === true) found.push(...target.secrets(stored.data))
  }
  return found
}
