/** `chaos sweep CONFIG`: what carries our marks on the targets of a configuration, without any journal; `--remove` ends it. */
import { loadConfig } from '../config/load.ts'
import { formatDuration, parseDuration } from '../core/duration.ts'
import { ConfigError, ERROR_CODES } from '../core/errors.ts'
import { visibleData } from '../core/foreign.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import type { Swept } from '../engine/sweep.ts'
import { refuseForeign } from '../journal/exposed.ts'
import { findStateDir } from '../journal/state-dir.ts'
import { chosen } from './select-experiments.ts'
import { json, stateDirOf, table } from './context.ts'
import type { Context } from './context.ts'
import { onlooker } from './read-only-supervisor.ts'

export interface SweepOptions {
  stateDir?: string
  only?: string
  remove?: boolean
  install?: string
  olderThan?: string
  json?: boolean
}

type Found = Swept & { endpoint: string }

export async function sweep(context: Context, file: string, options: SweepOptions): Promise<number> {
  const config = await loadConfig(file, { targets: await context.targets(), env: context.env, learn: context.learn })
  const experiments = chosen(config, options.only)
  const stateDir = stateDirOf(options.stateDir, context.env)
  if (options.remove === true) refuseForeign(stateDir)
  const own = (await findStateDir(stateDir))?.install
  const order = orderOf(options, own)
  const supervisor = await onlooker(context, options.stateDir, experiments)
  const found: Found[] = []
  for (const [endpoint, experiment] of oneEach(experiments, supervisor)) {
    found.push(...(await supervisor.looks.sweep(experiment, order)).map((one) => ({ ...one, endpoint })))
  }
  if (options.json === true) context.out(json({ install: own ?? null, found }))
  else context.out(found.length === 0 ? 'nothing carries a mark\n' : linesOf(found, own))
  // What the named install (else ours) has left, and nobody is going to undo.
  const concerns = options.install ?? own
  return found.some((one) => one.install === concerns && !one.live && !one.removed) ? ERROR_CODES.RESIDUE : 0
}

function orderOf(options: SweepOptions, own: string | undefined): Parameters<Supervisor['looks']['sweep']>[1] {
  const age = parseDuration(options.olderThan ?? '1m')
  if (age === undefined)
    throw usage('--older-than', `must be a duration such as "1m" or "0s", got ${JSON.stringify(options.olderThan)}`)
  if (options.install !== undefined && !/^[a-z0-9]{4,12}$/.test(options.install))
    throw usage('--install', `is no install id; the second part of a mark is one: chaos-<install>-<run>-<step>`)
  const remove = options.remove === true
  const install = options.install ?? own
  if (remove && install === undefined)
    throw usage('--remove', 'this state folder was never used and has left nothing: name whose marks with --install')
  return { remove, older_than_ms: age, ...(install === undefined ? {} : { install }) }
}

/** Several experiments may be about one target. */
function oneEach(experiments: readonly Experiment[], supervisor: Supervisor): Map<string, Experiment> {
  return new Map(experiments.map((experiment) => [supervisor.endpointOf(experiment), experiment]))
}

function linesOf(found: readonly Found[], own: string | undefined): string {
  const rows = visibleData(found).map((one) => [
    one.install === own ? `${one.install} (this)` : one.install,
    one.run,
    one.age_ms === undefined ? '?' : formatDuration(Math.floor(one.age_ms / 1000) * 1000),
    one.removed ? 'ended' : one.live ? 'in use' : 'left',
    `${one.kind}: ${one.describe} on ${one.endpoint}`,
  ])
  return table([['INSTALL', 'RUN', 'AGE', 'STATE', 'WHAT'], ...rows])
}

function usage(path: string, message: string): ConfigError {
  return new ConfigError([{ file: 'sweep', line: 0, column: 0, path, message }], 'USAGE')
}
