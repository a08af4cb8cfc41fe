/** The digest as lines for a person. */
import { counted } from '../core/counted.ts'
import type { Digest, Slower } from '../core/digest.ts'
import { formatDuration } from '../core/duration.ts'
import { visibleData } from '../core/foreign.ts'
import type { Paint } from './paint.ts'

/** One line: `3 runs, 1 skipped, 0 pending`. */
export function digestTitle({ ran, skipped, pending, slower }: Digest): string {
  return [
    counted(sum(ran), 'run'),
    `${sum(skipped)} skipped`,
    ...(slower.length > 0 ? [`${slower.length} slower than before`] : []),
    `${pending.length} pending`,
  ].join(', ')
}

export function digestLines(digest: Digest, paint: Paint): string[] {
  const { since, until, ran, notable, skipped, slower, pending, next } = visibleData(digest)
  return [
    paint('bold', `${minute(since)} to ${minute(until)} UTC: ${digestTitle(digest)}`),
    ...section('ran', ran, (r) => `${r.count} ${r.outcome} (${r.experiments.join(', ')})`),
    ...section('look at', notable, (n) => paint('yellow', notableText(n))),
    ...section(
      'skipped',
      skipped,
      (s) => `${s.count} ${s.cause} (${s.experiments.join(', ')}), last at ${minute(s.last.slot)}: ${s.last.reason}`,
    ),
    ...section('slower than before', slower, (s) => paint('yellow', slowerText(s))),
    ...section('pending', pending, (p) =>
      paint(
        'red',
        `${p.run} (${p.experiment || 'unknown experiment'}) on ${p.endpoint || 'an unknown target'}: ${counted(p.steps, 'step')} not undone`,
      ),
    ),
    ...section('next', next, (n) => paint('dim', `${minute(n.at)} ${n.experiment}`)),
  ]
}

function section<T>(title: string, entries: readonly T[], line: (entry: T) => string): string[] {
  return entries.length === 0 ? [] : [`${title}:`, ...entries.map((entry) => `  ${line(entry)}`)]
}

function notableText({
  run,
  experiment,
  outcome,
  recovered,
  residue,
  kept,
  reason,
}: Digest['notable'][number]): string {
  const facts = [
    outcome + (recovered ? ' (recovered)' : ''),
    ...(residue > 0 ? [`residue ${residue}`] : []),
    ...(kept > 0 ? [`kept ${kept} changed by others`] : []),
    ...(reason === undefined ? [] : [reason]),
  ]
  return `${experiment} ${run}: ${facts.join(', ')}`
}

function slowerText({ run, experiment, what, ms, before_ms, before_run }: Slower): string {
  const took = what === 'undo' ? 'the undo took' : 'without its soak it took'
  const times = before_ms > 0 ? ` (${counted(Number((ms / before_ms).toFixed(1)), 'time')})` : ''
  return `${experiment} ${run}: ${took} ${formatDuration(ms)}, before ${formatDuration(before_ms)}${times} in ${before_run}`
}

function sum(entries: readonly { count: number }[]): number {
  return entries.reduce((total, { count }) => total + count, 0)
}

/** `2026-01-02 03:04`. */
function minute(at: string): string {
  return at.slice(0, 16).replace('T', ' ')
}
