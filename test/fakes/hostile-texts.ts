/** What a hostile target, peer or table name may say; and each thing that can hold such a text, filled with it. */
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Digest } from '../../src/core/digest.ts'
import type { Notification } from '../../src/core/notify.ts'
import type { StepView } from '../../src/core/plan-view.ts'
import type { Report } from '../../src/core/report.ts'
import type { DaemonStatus } from '../../src/core/status.ts'

const at = '2026-01-02T03:04:05.000Z'

/** A line as one of ours begins. */
const FORGED = '03:04:05Z nightly  completed: 1 of 1 steps undone, residue 0'
const range = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i)).join('')

export const HOSTILE: Record<string, string> = {
  'the controls of C0 and DEL': range(0, 31) + '\u007f',
  'the controls of C1': range(0x80, 0x9f),
  'sequences that clear the screen, set a title, colour and redraw':
    '\u001b[2J\u001b]0;owned\u0007\u001b[31mred\r\u001b[2K',
  'what turns the direction': '\u202egnp.exe\u202c \u2066x\u2069 \u200f\u061c',
  'line breaks of every kind, and a forged line':
    ['\n', '\r\n', '\r', '\u2028', '\u2029', '\u0085'].join(FORGED) + FORGED,
  'what has no width': 'a\u200bb\u2060c\ufeffd\u00ade\u{e0041}',
  'halves of characters': 'a\ud83d b\ude00 \ud83d',
  'a length of 400 kB': 'x'.repeat(400_000),
  'pairs of halves at every place where it may be cut': 'y' + '\u{1f600}'.repeat(200_000),
  'mentions, links and code of Slack':
    '<!channel> <@U123> <!here|x> <https://evil.example|click> `x` *b* @channel :skull:',
  'links and pictures of Markdown':
    '[click](javascript:alert(1)) ![](https://evil.example/p.png) <script>alert(1)</script>',
  'headers and fields of a calendar': 'x\r\nX-Injected: 1\r\nBEGIN:VEVENT\r\nATTENDEE:mailto:a@evil.example;,\\n',
  'quotes, braces and backslashes': `"} 1\\n\\"evil{a="b\\\\"} '; drop table x; -- $(id) \`id\` \${HOME} %s`,
  'a remark that ends, and commands': "x\nrm -rf /\n'; id; '",
}

/** Controls, what turns or hides, halves of characters, other line breaks; a line feed is counted apart. */
export const RAW = /(?![\u200c\u200d\n])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** One of each kind, so that a new kind of event cannot be forgotten: every text that others have a part in is `text`. */
export function eventsWith(text: string): Record<ChaosEvent['type'], ChaosEvent> {
  const step: StepView = { step: 1, skill: text, resource: text, describe: text }
  const effect = { inEffect: 1, restored: 0, foreign: 1 }
  const run = { at, run: 'r1' }
  const plan = {
    ...{ target: text, identity: { [text]: text }, summary: text, seed: text, steps: [step], notes: [text] },
    resources: [{ kind: text, id: text, name: text, detail: text }],
    skipped: [{ skill: text, resource: text, reason: text, fix: flat(text) }],
    counts: { resources: { [text]: 2 }, steps: { [text]: 2 }, skipped: { [text]: 2 }, notes: 2 },
  }
  const all: { [T in ChaosEvent['type']]: ChaosEvent & { type: T } } = {
    'run.started': {
      ...run,
      type: 'run.started',
      experiment: text,
      target: text,
      endpoint: text,
      seed: text,
      soak_ms: 1,
    },
    'run.phase': { ...run, type: 'run.phase', phase: 'soak', detail: text },
    'run.planned': { ...run, type: 'run.planned', plan },
    'step.applying': { ...run, type: 'step.applying', step },
    'step.reverting': { ...run, type: 'step.reverting', step },
    'step.applied': { ...run, type: 'step.applied', step, effect, took_ms: 1 },
    'step.skipped': { ...run, type: 'step.skipped', step, reason: text },
    'step.failed': { ...run, type: 'step.failed', step, error: text },
    'step.reverted': { ...run, type: 'step.reverted', step, kept: 1, names: [text], took_ms: 1 },
    'step.revert_failed': { ...run, type: 'step.revert_failed', step, error: text },
    'run.warning': { ...run, type: 'run.warning', message: text },
    'run.aborting': { ...run, type: 'run.aborting', reason: text },
    'recovery.retry': { ...{ at, run: 'r1', type: 'recovery.retry', in_ms: 1, reason: text }, quarantined: [1] },
    'run.finished': { ...run, type: 'run.finished', report: reportWith(text) },
    'daemon.started': { at, type: 'daemon.started', pid: 1, state_dir: text, experiments: 1 },
    'daemon.ready': { at, type: 'daemon.ready' },
    'health.listening': { at, type: 'health.listening', url: text },
    'daemon.stopping': { at, type: 'daemon.stopping', reason: text },
    'daemon.stopped': { at, type: 'daemon.stopped', exit_code: 0 },
    'daemon.reloaded': { at, type: 'daemon.reloaded', file: text, experiments: 1 },
    'daemon.reload_failed': { at, type: 'daemon.reload_failed', file: text, problem: flat(text) },
    'daemon.frozen': { at, type: 'daemon.frozen', reason: text, until: at },
    'daemon.unfrozen': { at, type: 'daemon.unfrozen', reason: text },
    'experiment.disabled': { at, type: 'experiment.disabled', experiment: text, until: at },
    'experiment.enabled': { at, type: 'experiment.enabled', experiment: text },
    'clock.stepped': { at, type: 'clock.stepped', by_ms: 1 },
    'schedule.due': { at, type: 'schedule.due', experiment: text, slot: at },
    'schedule.skipped': { at, type: 'schedule.skipped', experiment: text, slot: at, cause: 'busy', reason: text },
    'schedule.queued': { at, type: 'schedule.queued', experiment: text, slot: at, reason: text },
    'schedule.next': { at, type: 'schedule.next', experiment: text, next: at },
    'worker.lost': { at, type: 'worker.lost', run: 'r1', detail: text },
    'recovery.started': { at, type: 'recovery.started', runs: [text] },
    'recovery.finished': { at, type: 'recovery.finished', clean: 1, pending: 1 },
    digest: { at, type: 'digest', digest: digestWith(text) },
    warning: { at, type: 'warning', message: text },
  }
  return all
}

/** For what may have lines of a person's. */
function flat(text: string): string {
  return text.replaceAll('\n', ' ')
}

export function reportWith(text: string): Report {
  const step = { step: 1, skill: text, resource: text, describe: text }
  return {
    ...{ run: 'r1', experiment: text, target: text, endpoint: text, seed: text, outcome: 'failed', recovered: false },
    ...{ started_at: at, finished_at: at, soak_ms: 1, reason: text, notes: [text], exit_code: 4 },
    residue: [{ step: 1, resource: text, describe: text, error: text }],
    steps: [{ ...step, state: 'reverted', kept: 1, kept_names: [text] }],
  }
}

export function digestWith(text: string): Digest {
  return {
    ...{ since: at, until: at, ran: [{ outcome: 'failed', count: 1, experiments: [text] }] },
    notable: [{ run: 'r1', experiment: text, outcome: 'failed', recovered: false, residue: 1, kept: 1, reason: text }],
    skipped: [{ cause: 'busy', count: 1, experiments: [text], last: { slot: at, reason: text } }],
    slower: [{ run: 'r1', experiment: text, what: 'undo', ms: 2, before_ms: 1, before_run: 'r0' }],
    pending: [{ run: 'r1', experiment: text, endpoint: text, started_at: at, steps: 1 }],
    next: [{ experiment: text, at }],
  }
}

export function statusWith(text: string): DaemonStatus {
  return {
    ...{ pid: 1, version: text, state_dir: text, started_at: at, ready: false, stopping: text },
    frozen: { since: at, reason: text },
    config: { file: text, loaded_at: at, problem: flat(text) },
    running: [],
    queued: [{ experiment: text, slot: at }],
    experiments: [
      {
        ...{ experiment: text, endpoint: text, schedule: '0 0 2 * * *', timezone: 'UTC', next: at },
        last: { run: 'r1', outcome: 'failed', residue: 1, finished_at: at },
        skipped: { slot: at, cause: 'busy', reason: text },
      },
    ],
    blocked: [{ run: 'r1', experiment: text, endpoint: text, pending: 1, reason: text }],
    untrusted: [{ experiment: text, endpoint: text, summary: text, identity: { [text]: text } }],
    notify: { delivered: 0, failed: 1, dropped: 0, waiting: 0 },
  } as unknown as DaemonStatus
}

export function noteWith(text: string): Notification {
  return {
    ...{ format: 1, id: 'id-1', kind: 'residue', severity: 'critical', title: text, text, experiment: text, run: text },
    ...{ endpoint: text, at, host: text, install: 'abc123', digest: digestWith(text) },
  }
}
