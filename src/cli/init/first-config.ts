/** The text of a first configuration: what `chaos init` writes, with comments for whoever opens it. */
import { Document, isMap, isScalar, Scalar, visit } from 'yaml'
import { visible, visibleLines } from '../../core/foreign.ts'
import type { Suggestion } from '../../core/survey.ts'

export interface FirstConfig {
  /** Lines at the top. */
  head: readonly string[]
  target: string
  /** `target_config` as it may stand in a file. */
  targetConfig: Record<string, unknown>
  /** Of the first experiment; the others follow at a distance. */
  schedule: string
  allow: readonly string[]
  experiments: readonly Entry[]
  /** Lines at the end: what was left out, and why. */
  tail: readonly string[]
}

/** A suggestion with the params that were chosen for it. */
export interface Entry {
  suggestion: Omit<Suggestion, 'params' | 'otherwise'>
  params: Record<string, unknown>
}

/** A text stays on its line, whatever is in it. */
const FORM = { lineWidth: 0, doubleQuotedMinMultiLineLength: Infinity, flowCollectionPadding: false }

/** Minutes between the schedules of two experiments: each is over before the next is due. */
const APART = 20

export function firstConfig(config: FirstConfig): string {
  const { head, tail, allow, experiments, schedule } = config
  const doc = new Document({
    settings: {
      timezone: 'UTC',
      max_concurrent: 1,
      stop_deadline: '5m',
      limits: { rows: 1000, resources: 5, percent: 50, duration: '15m' },
      allow: [...allow],
    },
    experiments: experiments.map((entry, i) => entryOf(entry, config, staggered(schedule, i * APART))),
  })
  comment(doc, ['settings', 'timezone'], 'Of the schedules.')
  comment(doc, ['settings', 'max_concurrent'], 'Runs at the same time. What is due meanwhile waits.')
  comment(doc, ['settings', 'stop_deadline'], 'Stopping waits this long for the undo; the next start would finish it.')
  comment(doc, ['settings', 'limits'], 'What one run may touch at most, and how long its faults may stay.')
  comment(
    doc,
    ['settings', 'allow'],
    'Hosts and databases whose names say production (prod, production, live) are refused unless they are named here.',
  )
  comment(
    doc,
    ['experiments'],
    'Each is for one kind of fault. The daemon runs them on their schedules, chaos run one after the other.',
  )
  const list = isMap(doc.contents) ? doc.contents.items.at(-1)?.key : undefined
  if (isScalar(list)) list.spaceBefore = true
  const target = ['experiment', 'target_config']
  const first = doc.getIn(['experiments', 0, ...target], true)
  experiments.forEach(({ suggestion }, i) => {
    const at = ['experiments', i]
    comment(doc, at, suggestion.comment)
    const [entry, when] = [doc.getIn(at, true), doc.getIn([...at, 'schedule'], true)]
    if (isMap(entry)) entry.spaceBefore = i > 0
    if (isScalar(when)) when.type = Scalar.QUOTE_DOUBLE
    if (i > 0 && isMap(first)) doc.setIn([...at, ...target], doc.createAlias(first, 'target'))
  })
  comment(doc, ['experiments', 0, 'schedule'], 'second minute hour day-of-month month day-of-week')
  // Between double quotes, and only there, an escaped character is the same one.
  visit(doc, {
    Scalar(_key, node) {
      if (typeof node.value === 'string' && visible(node.value) !== node.value) node.type = Scalar.QUOTE_DOUBLE
    },
  })
  const text = visibleLines(doc.toString(FORM))
  return [commented(head), text, ...(tail.length > 0 ? [commented(tail)] : [])].join('\n')
}

function entryOf({ suggestion, params }: Entry, { target, targetConfig }: FirstConfig, schedule: string): object {
  return {
    experiment: {
      name: suggestion.name,
      target,
      target_config: { ...targetConfig },
      skills: [{ skill_name: suggestion.skill, params: escaped(params) }],
      duration: suggestion.duration,
    },
    schedule,
    ...(suggestion.enabled ? {} : { enabled: false }),
  }
}

/** Names of somebody's tables are no expressions to be filled in. */
function escaped(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('${', () => '$${')
  if (Array.isArray(value)) return value.map(escaped)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, escaped(inner)]))
}

/** So many minutes later; the same where the time of day is not one plain hour and minute, or another day would begin. */
export function staggered(schedule: string, minutes: number): string {
  const fields = schedule.trim().split(/\s+/)
  const [, minute = '', hour = ''] = fields
  if (fields.length !== 6 || !/^\d+$/.test(minute) || !/^\d+$/.test(hour)) return schedule
  const later = Number(hour) * 60 + Number(minute) + minutes
  if (later >= 24 * 60) return schedule
  return [fields[0], later % 60, Math.floor(later / 60), ...fields.slice(3)].join(' ')
}

type Path = readonly (string | number)[]

/** Above an item of a list, or above a key. */
function comment(doc: Document, path: Path, text: string): void {
  const [owner, last] = [doc.getIn(path.slice(0, -1), true), path.at(-1)]
  const key = isMap(owner) ? owner.items.find((pair) => isScalar(pair.key) && pair.key.value === last)?.key : undefined
  const node = key ?? doc.getIn(path, true)
  if (!isMap(node) && !isScalar(node)) return
  node.commentBefore = text
    .split('\n')
    .map((line) => ` ${visible(line)}`)
    .join('\n')
}

function commented(lines: readonly string[]): string {
  return lines
    .flatMap((line) => line.split('\n'))
    .map((line) => `#${line === '' ? '' : ` ${visible(line)}`}\n`)
    .join('')
}
