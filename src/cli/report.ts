/** `chaos report`: what a run did, what it met, and that it was put back. */
import { formatDuration } from '../core/duration.ts'
import { ConfigError, messageOf } from '../core/errors.ts'
import { oneLine, visibleData } from '../core/foreign.ts'
import { observedText } from '../core/observed.ts'
import type { Report, StepReport } from '../core/report.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import { paintFor } from '../observe/paint.ts'
import type { Paint } from '../observe/paint.ts'
import { summaryLines } from '../observe/progress.ts'
import { json, stateDirOf, table } from './context.ts'
import type { Context } from './context.ts'
import { pageCommand } from './recover/page.ts'

export interface ReportOptions {
  stateDir?: string
  last?: boolean
  list?: boolean
  json?: boolean
}

export async function report(context: Context, run: string | undefined, options: ReportOptions): Promise<number> {
  const state = await peekStateDir(stateDirOf(options.stateDir, context.env))
  const runs = await state.history.list()
  /** Of an experiment; one that is damaged must not hide the others. */
  const newestOf = async (experiment: string): Promise<Report | undefined> => {
    for (const name of [...runs].reverse()) {
      const found = await state.history.read(name).catch(() => undefined)
      if (found?.experiment === experiment) return found
    }
    return undefined
  }
  if (options.list === true || (run === undefined && options.last !== true)) {
    // Read side by side, told in the order of the runs.
    const read = await Promise.allSettled(runs.map((r) => state.history.read(r)))
    for (const one of read) if (one.status === 'rejected') context.err(`warning: ${oneLine(messageOf(one.reason))}\n`)
    const reports = read.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value] : []))
    if (options.json === true) context.out(json(reports))
    else if (reports.length === 0) context.out('no runs yet\n')
    else
      context.out(
        table([['RUN', 'STARTED (UTC)', 'OUTCOME', 'RESIDUE', 'EXPERIMENT'], ...visibleData(reports).map(row)]),
      )
    return 0
  }
  const wanted = run ?? runs.at(-1)
  const found = wanted === undefined ? undefined : ((await state.history.read(wanted)) ?? (await newestOf(wanted)))
  if (!found) {
    const message =
      wanted === undefined
        ? 'no runs yet'
        : `no report of run or experiment ${wanted}; chaos report --list shows which there are`
    throw new ConfigError([{ file: 'report', line: 0, column: 0, path: '', message }], 'USAGE')
  }
  context.out(options.json === true ? json(found) : text(visibleData(found), paintFor(context)))
  if (options.json !== true && found.residue.length > 0)
    context.out(`what to do about what is left: ${pageCommand(found.run, options.stateDir)}\n`)
  return 0
}

function row(r: Report): string[] {
  return [
    r.run,
    r.started_at.slice(0, 19).replace('T', ' '),
    r.outcome + (r.recovered ? ' (recovered)' : ''),
    String(r.residue.length),
    r.experiment,
  ]
}

function text(r: Report, paint: Paint): string {
  const head = [
    ['run', r.run],
    ['experiment', r.experiment],
    ['target', `${r.target} ${r.endpoint}`],
    ['started', r.started_at],
    ['finished', r.finished_at],
    ['soak', formatDuration(r.soak_ms)],
    ['seed', r.seed],
  ]
  const steps = r.steps.map((s) => [`${s.step}.`, s.state, `${s.skill} ${s.describe}`, timing(s)])
  return [
    table(head),
    summaryLines(r, paint).join('\n'),
    '\n',
    table(steps),
    ...r.steps.flatMap((s) =>
      s.kept ? [`step ${s.step}: kept ${s.kept} changed by others: ${(s.kept_names ?? []).join(', ')}\n`] : [],
    ),
    ...r.steps.flatMap((s) => (s.error === undefined ? [] : [`step ${s.step}: ${s.error}\n`])),
    ...r.steps.flatMap((s) =>
      s.accepted_note === undefined ? [] : [`step ${s.step}: left as it is: ${s.accepted_note}\n`],
    ),
    ...r.notes.map((note) => `note: ${note}\n`),
  ].join('')
}

function timing({ effect, at_end, observed, apply_ms, revert_ms }: StepReport): string {
  return [
    ...(effect ? [`${effect.inEffect + (effect.load ?? 0)} in effect`] : []),
    ...(effect && at_end && at_end.inEffect < effect.inEffect ? [`${at_end.inEffect} when the soak was over`] : []),
    ...(observed ? [observedText(observed)] : []),
    ...(apply_ms === undefined ? [] : [`applied in ${formatDuration(apply_ms)}`]),
    ...(revert_ms === undefined ? [] : [`undone in ${formatDuration(revert_ms)}`]),
  ].join(', ')
}
