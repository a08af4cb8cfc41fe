/** What only a running daemon can say of itself, as lines for a person. */
import { counted } from '../../core/counted.ts'
import { visibleData } from '../../core/foreign.ts'
import type { DaemonStatus } from '../../core/status.ts'
import { table } from '../context.ts'

/** `, step 3 is quarantined`; empty where none is. */
export function quarantinedText(steps: readonly number[] = []): string {
  if (steps.length === 0) return ''
  return `, ${steps.length === 1 ? 'step' : 'steps'} ${steps.join(', ')} ${steps.length === 1 ? 'is' : 'are'} quarantined`
}

export function daemonLines(given: DaemonStatus): string[] {
  const status = visibleData(given)
  const { config, blocked, untrusted, queued, notify } = status
  return [
    ...(status.stopping === undefined ? [] : [`stopping: ${status.stopping}`]),
    ...(status.ready || status.stopping !== undefined ? [] : ['not ready: recovering what was left']),
    ...(config.problem === undefined
      ? []
      : [`the last reload failed, the configuration of ${config.loaded_at} is used:`, ...indented(config.problem)]),
    ...blocked.map(
      (b) =>
        `blocked: ${b.endpoint} by run ${b.run} (${b.experiment}), ${counted(b.pending, 'step')} not undone${quarantinedText(b.quarantined)}: ${b.reason}`,
    ),
    ...untrusted.map(
      (u) => `not trusted yet: ${u.endpoint} (${u.summary}); chaos trust ${JSON.stringify(u.experiment)}`,
    ),
    ...queued.map((q) => `waiting for a slot: ${q.experiment} (due ${q.slot})`),
    ...(notify.failed + notify.dropped > 0
      ? [`notifications: ${notify.failed} could not be delivered, ${notify.dropped} dropped`]
      : []),
    ...experimentTable(status),
  ]
}

function experimentTable({ experiments, frozen }: DaemonStatus): string[] {
  if (experiments.length === 0) return []
  const rows = experiments.map(({ experiment, next, disabled, last, skipped, schedule }) => [
    experiment,
    disabled
      ? `disabled${disabled.until === undefined ? '' : ` until ${disabled.until}`}`
      : (next ?? (schedule === undefined ? 'no schedule' : frozen ? 'frozen' : 'never')),
    last ? `${last.outcome}, residue ${last.residue} (${last.finished_at})` : '-',
    skipped ? `${skipped.slot}: ${skipped.reason}` : '-',
  ])
  return table([['EXPERIMENT', 'NEXT', 'LAST RUN', 'LAST SKIPPED'], ...rows])
    .trimEnd()
    .split('\n')
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => `  ${line}`)
}
