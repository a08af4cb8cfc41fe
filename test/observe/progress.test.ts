import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Digest } from '../../src/core/digest.ts'
import type { ChaosEvent } from '../../src/core/events.ts'
import type { StepView } from '../../src/core/plan-view.ts'
import type { Report } from '../../src/core/report.ts'
import { coloured, plain } from '../../src/observe/paint.ts'
import { linesOf, progress } from '../../src/observe/progress.ts'

const at = '2026-01-02T03:04:05.000Z'
const run = 'r1'
const step: StepView = { step: 2, skill: 'db.insert_load', resource: 'public.users', describe: 'insert 10 rows' }
const report: Report = {
  ...{ run, experiment: 'e', target: 'database', endpoint: 'pg', seed: 's', outcome: 'completed', recovered: false },
  ...{ started_at: at, finished_at: at, soak_ms: 0, residue: [], notes: [], exit_code: 0 },
  steps: [{ ...step, state: 'reverted' }],
}

const quietDigest: Digest = {
  ...{ since: '2026-01-01T03:04:05.000Z', until: at, ran: [], notable: [], skipped: [], slower: [], pending: [] },
  next: [],
}

/** Every type of event and the lines it makes. */
const EXPECTED: { [T in ChaosEvent['type']]: [ChaosEvent & { type: T }, string[]][] } = {
  'run.started': [
    [
      { type: 'run.started', at, run, experiment: 'e', target: 'database', endpoint: 'pg', seed: 's', soak_ms: 90_000 },
      ['run r1 on database pg, soak 1m 30s, seed s'],
    ],
  ],
  'run.phase': [
    [{ type: 'run.phase', at, run, phase: 'discover' }, ['discover']],
    [{ type: 'run.phase', at, run, phase: 'claim', detail: '3 claims' }, ['claim: 3 claims']],
    [{ type: 'run.phase', at, run, phase: 'done' }, []],
  ],
  'run.planned': [
    [
      {
        ...{ type: 'run.planned', at, run },
        plan: {
          ...{ target: 'database', identity: {}, summary: '', resources: [], steps: [step], seed: 's' },
          skipped: [{ skill: 'db.x', resource: 'public.v', reason: 'a view', fix: 'GRANT …' }],
          notes: ['comments are lost'],
          counts: { resources: {}, steps: { 'db.insert_load': 1 }, skipped: { 'db.x': 1 }, notes: 1 },
        },
      },
      [
        '    2. db.insert_load insert 10 rows',
        '    – db.x public.v: skipped, a view  →  GRANT …',
        '    note: comments are lost',
      ],
    ],
    [
      {
        ...{ type: 'run.planned', at, run },
        plan: {
          ...{ target: 'database', identity: {}, summary: '', resources: [], steps: [step], seed: 's' },
          ...{ skipped: [], notes: [] },
          counts: {
            resources: { table: 20_000 },
            steps: { 'db.insert_load': 9_001, 'db.table_lock': 2 },
            skipped: { 'db.x': 1_000 },
            notes: 7,
          },
        },
      },
      [
        '    2. db.insert_load insert 10 rows',
        '     and 9,002 more: 9,000 db.insert_load, 2 db.table_lock',
        '     and 1,000 more: 1,000 db.x skipped; chaos discover says why',
        '     and 7 more notes',
      ],
    ],
  ],
  'step.applying': [[{ type: 'step.applying', at, run, step }, []]],
  'step.applied': [
    [
      {
        type: 'step.applied',
        at,
        run,
        step,
        effect: { inEffect: 7, restored: 0, foreign: 1, load: 3 },
        took_ms: 1_500,
      },
      ['▲ db.insert_load insert 10 rows  10 in effect, 1 changed by others, 1.5s'],
    ],
  ],
  'step.skipped': [
    [
      { type: 'step.skipped', at, run, step, reason: 'the row is gone' },
      ['– db.insert_load insert 10 rows  skipped: the row is gone'],
    ],
  ],
  'step.failed': [[{ type: 'step.failed', at, run, step, error: 'no' }, ['✗ db.insert_load insert 10 rows  no']]],
  'step.reverting': [[{ type: 'step.reverting', at, run, step }, []]],
  'step.reverted': [
    [
      { type: 'step.reverted', at, run, step, kept: 0, names: [], took_ms: 12 },
      ['▼ undone: db.insert_load insert 10 rows  12ms'],
    ],
    [
      {
        type: 'step.reverted',
        at,
        run,
        step,
        kept: 0,
        names: [],
        observed: { calls: 3, fired: 1, missing: 0 },
        took_ms: 12,
      },
      ['▼ undone: db.insert_load insert 10 rows  12ms, 3 calls, 1 fault fired'],
    ],
    [
      { type: 'step.reverted', at, run, step, kept: 2, names: ['id 1', 'id 2'], took_ms: 12 },
      ['▼ undone: db.insert_load insert 10 rows  12ms, kept 2 changed by others (id 1, id 2)'],
    ],
  ],
  'step.revert_failed': [
    [
      { type: 'step.revert_failed', at, run, step, error: 'locked' },
      ['✗ not undone: db.insert_load insert 10 rows  locked'],
    ],
  ],
  'run.aborting': [
    [{ type: 'run.aborting', at, run, reason: 'SIGTERM' }, ['aborting: SIGTERM; everything is being undone']],
  ],
  'run.warning': [[{ type: 'run.warning', at, run, message: 'm' }, ['warning: m']]],
  'run.finished': [
    [{ type: 'run.finished', at, run, report }, ['completed: 1 of 1 step undone, residue 0']],
    [
      {
        ...{ type: 'run.finished', at, run },
        report: {
          ...{ ...report, outcome: 'aborted', recovered: true, reason: 'SIGTERM' },
          residue: [{ step: 3, resource: 'r', describe: 'lock r', error: 'still there' }],
          steps: [
            { ...step, state: 'reverted', kept: 2 },
            { ...step, step: 3, state: 'residue' },
            { ...step, step: 4, state: 'skipped' },
          ],
        },
      },
      ['aborted (recovered): 1 of 2 steps undone, residue 1, kept 2  (SIGTERM)', '  step 3 lock r: still there'],
    ],
  ],
  'daemon.started': [
    [
      { type: 'daemon.started', at, pid: 7, state_dir: '/s', experiments: 2 },
      ['chaos daemon (pid 7), 2 experiments, state in /s'],
    ],
  ],
  'daemon.ready': [[{ type: 'daemon.ready', at }, ['ready']]],
  'health.listening': [
    [{ type: 'health.listening', at, url: 'http://[::1]:9464' }, ['health and metrics at http://[::1]:9464']],
  ],
  'daemon.stopping': [
    [{ type: 'daemon.stopping', at, reason: 'SIGTERM' }, ['stopping: SIGTERM; what is running is being undone']],
  ],
  'daemon.stopped': [[{ type: 'daemon.stopped', at, exit_code: 4 }, ['stopped (exit code 4)']]],
  'daemon.reloaded': [
    [{ type: 'daemon.reloaded', at, file: 'c.yaml', experiments: 2 }, ['read c.yaml anew: 2 experiments']],
  ],
  'daemon.reload_failed': [
    [
      { type: 'daemon.reload_failed', at, file: 'c.yaml', problem: 'c.yaml:1:1: a\nc.yaml:2:1: b' },
      ['c.yaml is not used, the configuration before stays:', 'c.yaml:1:1: a', 'c.yaml:2:1: b'],
    ],
  ],
  'daemon.frozen': [
    [{ type: 'daemon.frozen', at, reason: 'release' }, ['frozen: release']],
    [{ type: 'daemon.frozen', at, reason: 'release', until: 't' }, ['frozen until t: release']],
  ],
  'daemon.unfrozen': [[{ type: 'daemon.unfrozen', at, reason: 'unfreeze' }, ['no longer frozen: unfreeze']]],
  'experiment.disabled': [
    [{ type: 'experiment.disabled', at, experiment: 'e' }, ['e is disabled']],
    [{ type: 'experiment.disabled', at, experiment: 'e', until: 't' }, ['e is disabled until t']],
  ],
  'experiment.enabled': [[{ type: 'experiment.enabled', at, experiment: 'e' }, ['e is enabled']]],
  'clock.stepped': [[{ type: 'clock.stepped', at, by_ms: -3_600_000 }, ['the clock was set back by 1h']]],
  'schedule.due': [[{ type: 'schedule.due', at, experiment: 'e', slot: 't' }, ['e is due (t)']]],
  'schedule.skipped': [
    [
      { type: 'schedule.skipped', at, experiment: 'e', slot: 't', cause: 'busy', reason: 'busy' },
      ['e at t is skipped: busy'],
    ],
  ],
  'schedule.queued': [
    [
      { type: 'schedule.queued', at, experiment: 'e', slot: 't', reason: 'all slots are taken' },
      ['e waits: all slots are taken'],
    ],
  ],
  'schedule.next': [[{ type: 'schedule.next', at, experiment: 'e', next: 't' }, ['next e: t']]],
  'worker.lost': [
    [{ type: 'worker.lost', at, run, detail: 'SIGKILL' }, ['the worker of run r1 is gone (SIGKILL); recovering']],
  ],
  'recovery.started': [[{ type: 'recovery.started', at, runs: ['r1', 'r2'] }, ['recovering r1, r2']]],
  'recovery.finished': [
    [{ type: 'recovery.finished', at, clean: 2, pending: 0 }, ['recovered: 2 clean']],
    [{ type: 'recovery.finished', at, clean: 1, pending: 1 }, ['recovered 1, still pending 1']],
  ],
  'recovery.retry': [
    [
      { type: 'recovery.retry', at, run, in_ms: 10_000, reason: 'away' },
      ['run r1 is still not undone: away; next try in 10s'],
    ],
  ],
  digest: [
    [
      { type: 'digest', at, digest: quietDigest },
      ['2026-01-01 03:04 to 2026-01-02 03:04 UTC: 0 runs, 0 skipped, 0 pending'],
    ],
    [
      {
        ...{ type: 'digest', at },
        digest: {
          ...quietDigest,
          ran: [{ outcome: 'completed', count: 2, experiments: ['a', 'b'] }],
          notable: [{ run, experiment: 'a', outcome: 'failed', recovered: true, residue: 1, kept: 2, reason: 'away' }],
          skipped: [{ cause: 'busy', count: 3, experiments: ['b'], last: { slot: at, reason: 'all slots are taken' } }],
          slower: [{ run, experiment: 'a', what: 'undo', ms: 3_000, before_ms: 1_000, before_run: 'r0' }],
          pending: [{ run, experiment: 'a', endpoint: 'pg', started_at: at, steps: 1 }],
          next: [{ experiment: 'b', at }],
        },
      },
      [
        '2026-01-01 03:04 to 2026-01-02 03:04 UTC: 2 runs, 3 skipped, 1 slower than before, 1 pending',
        'ran:',
        '  2 completed (a, b)',
        'look at:',
        '  a r1: failed (recovered), residue 1, kept 2 changed by others, away',
        'skipped:',
        '  3 busy (b), last at 2026-01-02 03:04: all slots are taken',
        'slower than before:',
        '  a r1: the undo took 3s, before 1s (3 times) in r0',
        'pending:',
        '  r1 (a) on pg: 1 step not undone',
        'next:',
        '  2026-01-02 03:04 b',
      ],
    ],
  ],
  warning: [[{ type: 'warning', at, message: 'm' }, ['warning: m']]],
}

for (const [type, cases] of Object.entries(EXPECTED)) {
  test(`${type} is told as expected, and colours change nothing but colours`, () => {
    for (const [event, lines] of cases) {
      assert.deepEqual(linesOf(event, plain), lines)
      const stripped = linesOf(event, coloured).map((line) => line.replaceAll(/\u001b\[\d+m/g, ''))
      assert.deepEqual(stripped, lines)
    }
  })
}

test('lines carry the time and the name of their experiment; without a terminal they have no control characters', () => {
  let text = ''
  const sink = progress({ write: (more) => (text += more), screen: { tty: false, env: {} } })
  sink(EXPECTED['run.started'][0]![0])
  sink({ type: 'run.phase', at, run, phase: 'soak' })
  sink({ type: 'run.warning', at, run: 'of-another', message: 'm' })
  sink({ type: 'daemon.ready', at })
  assert.equal(
    text,
    [
      '03:04:05Z e  run r1 on database pg, soak 1m 30s, seed s',
      '03:04:05Z e  soak',
      '03:04:05Z of-another  warning: m',
      '03:04:05Z ready',
      '',
    ].join('\n'),
  )
})

test('on a terminal a soak is counted down in a line that the next event takes away, and its timer keeps nothing alive', () => {
  const writes: string[] = []
  const sink = progress({ write: (text) => void writes.push(text), screen: { tty: true, env: {} } })
  sink(EXPECTED['run.started'][0]![0])
  sink({ type: 'run.phase', at, run, phase: 'soak' })
  assert.match(writes.at(-1) ?? '', /^soaking, 1m 30s left/)
  const n = writes.length
  sink({ type: 'run.phase', at, run, phase: 'quiesce' })
  assert.equal(writes[n], '\r\u001b[2K')
  assert.doesNotMatch(writes.slice(n).join(''), /soaking/)
  sink({ type: 'run.finished', at, run, report })
  sink({ type: 'run.phase', at, run: 'r2', phase: 'soak' })
})
