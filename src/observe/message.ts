/** What of a run or of the daemon is worth telling somebody who is not looking: the decision, and the words for it. */
import type { Digest } from '../core/digest.ts'
import type { ChaosEvent } from '../core/events.ts'
import type { Facts } from '../core/facts.ts'
import { bounded, visibleData, visibleLines, withoutEnd } from '../core/foreign.ts'
import { formatDuration } from '../core/duration.ts'
import type { Notification, NotificationKind, Severity } from '../core/notify.ts'
import type { Report } from '../core/report.ts'
import { digestLines, digestTitle } from './digest.ts'
import { plain } from './paint.ts'

/** What an event says; who tells it adds the id, the host and the installation. */
export type Message = Omit<Notification, 'format' | 'id' | 'host' | 'install' | 'count'>

/** What is known of a run besides what the event says. */
export interface RunFacts {
  experiment: string
  endpoint: string
}

/** Undefined for what nobody needs to be told. */
export function notificationOf(given: ChaosEvent, ofRun?: RunFacts): Message | undefined {
  const event = visibleData(given)
  const facts = visibleData(ofRun)
  switch (event.type) {
    case 'run.finished':
      return ofReport(event.report, event.at)
    case 'recovery.retry': {
      const but =
        event.quarantined === undefined ? '' : `, but step ${event.quarantined.join(', ')} only when somebody says so`
      const text = `${withoutValues(event.reason)}. It is tried again in ${formatDuration(event.in_ms)}${but}; its target is refused to new runs until it is undone.${pageOf(event.run)}`
      const title = `run ${event.run}${facts ? ` (${facts.experiment})` : ''} is still not undone`
      return { ...kind('residue'), title, text, run: event.run, ...facts, at: event.at }
    }
    case 'schedule.skipped': {
      const { experiment, slot, cause, reason, about, at } = event
      const blocked = cause === 'blocked'
      const { run } = blocked ? inTheWay(about) : {}
      return {
        ...kind(blocked ? 'blocked' : 'skipped'),
        title: `${experiment} ${blocked ? 'is blocked' : 'is skipped'}`,
        text: `It was due at ${slot}: ${withoutValues(reason)}.${pageOf(run)}`,
        experiment,
        ...(run === undefined ? {} : { run }),
        at,
      }
    }
    case 'daemon.reload_failed':
      return {
        ...kind('reload_failed'),
        title: `${event.file} is not used`,
        text: `The configuration before stays in use. ${event.problem.slice(0, LONGEST_PROBLEM)}`,
        at: event.at,
      }
    case 'daemon.frozen': {
      const until = event.until === undefined ? 'until somebody unfreezes it' : `until ${event.until}`
      return { ...kind('frozen'), title: 'frozen', text: `Nothing is started ${until}: ${event.reason}`, at: event.at }
    }
    case 'digest': {
      const { at } = event
      const digest = withoutReasons(event.digest)
      return { ...kind('digest'), title: digestTitle(digest), text: digestLines(digest, plain).join('\n'), digest, at }
    }
    default:
      return undefined
  }
}

/** As it goes to a receiver: every text in it is visible and bounded; `text` may have lines, which are the product's own. */
export function toldAs(notification: Notification): Notification {
  return { ...visibleData(notification), text: visibleLines(bounded(notification.text)) }
}

const SEVERITY: Record<NotificationKind, Severity> = {
  residue: 'critical',
  failed: 'error',
  blocked: 'error',
  reload_failed: 'error',
  ineffective: 'warning',
  skipped: 'warning',
  frozen: 'warning',
  recovered: 'info',
  digest: 'info',
}

/** Of an exit code: the undo is not known to be complete, although no step is named. */
const JOURNAL_WRITE = 5
/** Of an exit code, without residue of its own: an earlier run is in the way. */
const BLOCKED = 4

function ofReport(report: Report, at: string): Message | undefined {
  const { run, experiment, endpoint, outcome, recovered, residue, reason = '', exit_code } = report
  const about = { experiment, run, endpoint, at }
  const why = reason === '' ? '' : ` Reason: ${withoutValues(reason)}.`
  if (residue.length > 0 || exit_code === JOURNAL_WRITE) {
    const left = residue.slice(0, 10).map((r) => `step ${r.step} ${r.describe}: ${withoutValues(r.error)}`)
    const more = residue.length > 10 ? [`and ${residue.length - 10} more`] : []
    const text = [
      `The run ended ${outcome}; its target is refused to new runs until it is undone.${why}`,
      ...left,
      ...more,
      pageOf(run).trim(),
    ]
    const what = residue.length > 0 ? `left ${residue.length} changes behind` : 'could not write its journal'
    return { ...kind('residue'), ...about, title: `${experiment} ${what}`, text: text.join('\n') }
  }
  if (recovered) {
    const text = `Everything that its process had left is undone. The run ended ${outcome}.${why}`
    return { ...kind('recovered'), ...about, title: `${experiment} is undone`, text }
  }
  if (outcome === 'refused' && exit_code === BLOCKED) {
    const text = `It did not run, and nothing was changed.${why}${pageOf(report.about?.run)}`
    // Its own id is of no use: nothing of it is in a journal.
    return {
      ...kind('blocked'),
      experiment,
      endpoint,
      at,
      ...inTheWay(report.about),
      title: `${experiment} is blocked`,
      text,
    }
  }
  // Another run uses the same thing: the due time is told as skipped.
  if (report.code === 'REFUSED_CLAIMED') return undefined
  if (outcome === 'failed' || outcome === 'refused') {
    const done = report.steps.length > 0 ? 'What it had changed is undone.' : 'Nothing was changed.'
    const text = `${done}${why}`
    return {
      ...kind('failed'),
      ...about,
      title: `${experiment} ${outcome === 'failed' ? 'failed' : 'was refused'}`,
      text,
    }
  }
  if (outcome === 'ineffective')
    return {
      ...kind('ineffective'),
      ...about,
      title: `${experiment} had no effect`,
      text: `Nothing took effect.${why}`,
    }
  return undefined
}

function kind(name: NotificationKind): Pick<Message, 'kind' | 'severity'> {
  return { kind: name, severity: SEVERITY[name] }
}

/** The run that blocks, so that one receiver's incident of it takes this in, and ends with it. */
function inTheWay(about: Facts | undefined): { run?: string } {
  return about?.run === undefined ? {} : { run: about.run }
}

/** What a person types to be told what is changed, and what can be done about it. */
function pageOf(run: string | undefined): string {
  return run === undefined ? '' : ` What is changed, and how to undo it by hand: chaos recover --run ${run} --dry-run`
}

function withoutReasons(digest: Digest): Digest {
  return {
    ...digest,
    notable: digest.notable.map((n) => (n.reason === undefined ? n : { ...n, reason: withoutValues(n.reason) })),
    skipped: digest.skipped.map((s) => ({ ...s, last: { ...s.last, reason: withoutValues(s.last.reason) } })),
  }
}

/** All that is wrong with a file can be a lot. */
const LONGEST_PROBLEM = 2_000
/** Longest reason that is told. */
const LONGEST = 600

/** Error texts of a server quote the value that it did not like, which may be a customer's. */
export function withoutValues(given: string): string {
  const text = bounded(given)
  const quoted = text.replaceAll(/'[^']*'/g, "'…'").replaceAll(/(:\s*|\bvalue )"[^"]*"/g, '$1"…"')
  const without = withoutEnd(withoutKeys(quoted), '.')
  return without.length > LONGEST ? `${without.slice(0, LONGEST)}…` : without
}

/** `Key (id)=(7)` → `Key (id)=(…)`. Every character is looked at once. */
function withoutKeys(text: string): string {
  let done = ''
  let from = 0
  for (const { index, 0: opening } of text.matchAll(/=\s{0,20}\(/g)) {
    if (index < from) continue
    const end = text.indexOf(')', index + opening.length)
    if (end < 0) break
    done += `${text.slice(from, index)}=(…)`
    from = end + 1
  }
  return done + text.slice(from)
}
