/** What an operator decides about a run that cannot be undone as it is, from the options of `chaos recover`. */
import { ConfigError } from '../../core/errors.ts'
import type { Target } from '../../core/target.ts'
import type { HandOver } from '../../engine/recover.ts'
import { loadTargetConfig } from '../../config/load.ts'
import type { LoadOptions } from '../../config/load.ts'

export interface HandOverOptions {
  dryRun?: boolean
  run?: string
  targetConfig?: string
  acceptIdentity?: boolean
  acceptResidue?: boolean
  acceptLoss?: boolean
  retry?: boolean
  byHand?: string
  step?: string
  note?: string
}

/** Undefined where nothing is decided: then it is only tried again. */
export async function handOverOf(
  options: HandOverOptions,
  target: Target | undefined,
  context: Pick<LoadOptions, 'env' | 'learn'>,
): Promise<HandOver | undefined> {
  const { run, targetConfig, acceptIdentity, acceptResidue, acceptLoss, retry, byHand, step, note } = options
  if (step !== undefined && acceptResidue !== true && retry !== true && byHand === undefined)
    throw usage('--step', 'goes with --retry, --accept-residue or --by-hand')
  if (retry === true && acceptResidue === true)
    throw usage('--retry', 'says that it is to be undone, and --accept-residue that it may stay: one of them')
  if (note !== undefined && acceptResidue !== true && acceptLoss !== true)
    throw usage('--note', 'goes with --accept-residue or --accept-loss')
  const decided = [targetConfig, acceptIdentity, acceptResidue].some((option) => option !== undefined)
  if (byHand !== undefined) {
    if (decided || acceptLoss === true || retry === true)
      throw usage('--by-hand', 'only writes a file: nothing is decided with it')
    if (run === undefined)
      throw usage('--run', 'is needed: the commands are those of one run (chaos status names them)')
    return undefined
  }
  if (!decided && acceptLoss !== true && retry === true) {
    if (step !== undefined && run === undefined) throw usage('--run', 'is needed: a step is one of a run')
    if (options.dryRun === true) throw usage('--dry-run', 'only shows: nothing is tried with it')
    return { retry: stepsOf(step) }
  }
  if (!decided && acceptLoss !== true) return undefined
  if (run === undefined) throw usage('--run', 'is needed: a hand-over is about one run (chaos status names them)')
  if (options.dryRun === true) throw usage('--dry-run', 'only shows: nothing is decided with it')
  if (acceptLoss === true) noteOf(note, 'why what is damaged may be lost')
  if (!decided) return undefined
  return {
    ...(targetConfig === undefined ? {} : { target_config: await targetConfigOf(targetConfig, target, context) }),
    ...(acceptIdentity === true ? { accept_identity: true } : {}),
    ...(retry === true ? { retry: stepsOf(step) } : {}),
    ...(acceptResidue === true
      ? { accept_residue: { ...stepsOf(step), note: noteOf(note, 'why what is pending may stay') } }
      : {}),
  }
}

async function targetConfigOf(
  file: string,
  target: Target | undefined,
  { env, learn }: Pick<LoadOptions, 'env' | 'learn'>,
): Promise<unknown> {
  if (target) return loadTargetConfig(file, target, { env, learn })
  throw usage('--target-config', 'cannot be used: the journal of that run does not say any more which target it is of')
}

/** `--step 3` or `--step 3,4`; without it all that are meant. */
export function stepsOf(step: string | undefined): { steps?: number[] } {
  if (step === undefined) return {}
  const steps = step.split(',').map(Number)
  if (!steps.every((n) => Number.isInteger(n) && n > 0))
    throw usage('--step', `${JSON.stringify(step)} is not a step: write a number, or several like 3,4`)
  return { steps }
}

function noteOf(note: string | undefined, why: string): string {
  if (note !== undefined && note.trim() !== '') return note
  throw usage('--note', `is needed: ${why}, for the report`)
}

function usage(path: string, message: string): ConfigError {
  return new ConfigError([{ file: 'recover', line: 0, column: 0, path, message }], 'USAGE')
}
