/** The page for a person whom a run has been handed over to: at night, tired, and with nothing to look up. */
import { counted } from '../../core/counted.ts'
import { oneLine, visible } from '../../core/foreign.ts'
import type { ByHand } from '../../core/skill.ts'
import type { StuckRun, StuckStep } from '../../engine/stuck.ts'
import { quoted } from '../../journal/unreadable.ts'

/** More is read in a file, where it can be searched, and not on a screen. */
const MOST_LINES = 90
const MOST_TEXT = 9_000
const MOST_STEPS = 10

/** `chaos recover --run R`, as it can be typed here. */
export function recoverCommand(run: string, stateDir: string | undefined): string {
  return `chaos recover --run ${quoted(oneLine(run))}${stateDir === undefined ? '' : ` --state-dir ${quoted(stateDir)}`}`
}

/** The command that shows the page. */
export function pageCommand(run: string, stateDir: string | undefined): string {
  return `${recoverCommand(run, stateDir)} --dry-run`
}

/** Empty where nothing of it has failed yet. `stateDir` as it was given to this command. */
export function pageLines(stuck: StuckRun, stateDir: string | undefined): string[] {
  const { identity, journal, reason } = stuck
  const run = oneLine(stuck.run)
  const experiment = oneLine(stuck.experiment)
  const endpoint = oneLine(stuck.endpoint)
  const failed = stuck.steps.filter((step) => reason !== undefined || step.error !== undefined)
  const waiting = failed.filter((step) => step.waits_for !== undefined)
  const own = failed.filter((step) => step.waits_for === undefined)
  if (own.length === 0) return []
  const command = recoverCommand(stuck.run, stateDir)
  const parts = Object.entries(identity).map(([part, value]) => oneLine(`${part} ${value}`))
  const more = own.length - MOST_STEPS
  return [
    `run ${run} (${experiment}) is not undone: ${stuck.steps.length} ${stuck.steps.length === 1 ? 'step' : 'steps'}. Until it is, its target is refused to new runs.`,
    `  on       ${endpoint}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`,
    `  journal  ${oneLine(journal)}: what is needed to undo it is in there, keep it`,
    ...(reason === undefined ? [] : [`  why      ${oneLine(reason)}`]),
    ...own.slice(0, MOST_STEPS).flatMap((step) => ['', ...stepLines(step, stuck, command)]),
    ...(more > 0
      ? ['', `and ${counted(more, 'more step')}; ${command} --by-hand FILE writes the commands of all of them`]
      : []),
    ...(waiting.length > 0 ? ['', ...waiting.map(waitingLine)] : []),
    '',
    'its target is somewhere else now, or says something else of itself',
    `  ${command} --target-config FILE   FILE: a target_config with where it is now`,
    `  ${command} --accept-identity      it is the same system all the same`,
    'nothing else unblocks it',
  ]
}

function stepLines(
  { step, skill, describe, resource, since, error, failed_at: at, by_hand }: StuckStep,
  { run }: StuckRun,
  command: string,
): string[] {
  const one = `${command} --step ${step}`
  const file = quoted(oneLine(`undo-${run}-${step}.sh`))
  return [
    oneLine(`step ${step}  ${skill}: ${describe}`),
    oneLine(`  changed  ${resource}, since ${since}`),
    ...(error === undefined ? [] : [oneLine(`  why      ${error}${at === undefined ? '' : ` (${at})`}`)]),
    ...commandLines(by_hand, `${one} --by-hand ${file}`, file),
    '  then one of',
    `    ${one} --retry                               looks again: what is back counts as undone`,
    `    ${one} --accept-residue --note 'why'         it may stay as it is now`,
  ]
}

/** They are not indented: so they can be copied as they are. */
function commandLines({ lines, holdsValues }: ByHand, command: string, file: string): string[] {
  const short = lines.length <= MOST_LINES && lines.join('\n').length <= MOST_TEXT
  // A terminal does not show them as they are, so what is copied from it would be something else.
  const hidden = lines.some((line) => visible(line) !== line)
  if (short && !holdsValues && !hidden) return ['  by hand, in a shell:', ...lines]
  const why = holdsValues ? 'they hold values of your data' : hidden ? 'not all of them can be seen' : 'they are long'
  return [`  by hand (the commands go to a file that only you can read: ${why}):`, command, `sh -e ${file}`]
}

function waitingLine({ step, skill, describe, waits_for: later }: StuckStep): string {
  return oneLine(`step ${step}  ${skill}: ${describe}: waits for step ${later}, and is then undone by --retry`)
}
