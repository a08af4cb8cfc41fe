/** The metrics over scripted events and statuses: what is counted, once, and under which labels. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunEvent } from '../../src/core/events.ts'
import type { StepView } from '../../src/core/plan-view.ts'
import type { Outcome, Report } from '../../src/core/report.ts'
import { makeMetrics } from '../../src/observe/metrics/index.ts'
import type { Metrics } from '../../src/observe/metrics/index.ts'
import { dueEvery } from '../../src/observe/metrics/intervals.ts'
import { status } from '../fakes/status.ts'

const RUN = 'r1'
const step: StepView = { step: 1, skill: 'db.insert_load', resource: 'public.t', describe: 'insert 5 rows' }

function at(seconds: number): string {
  return new Date(Date.UTC(2026, 0, 2, 3, 0, seconds)).toISOString()
}

function report(outcome: Outcome, more: Partial<Report> = {}): Report {
  return {
    ...{ run: RUN, experiment: 'nightly', target: 'database', endpoint: 'postgres://db/shop', seed: 's', outcome },
    ...{ recovered: false, started_at: at(0), finished_at: at(20), soak_ms: 10_000, residue: [], steps: [], notes: [] },
    ...{ exit_code: outcome === 'completed' ? 0 : 1 },
    ...more,
  }
}

const residue = [{ step: 1, resource: 'public.t', describe: 'insert', error: 'away' }]

/** A run from its start to its report, soak from second 2 to 12, undo until 14. */
function events(finished: Report, run = RUN): RunEvent[] {
  return [
    {
      ...{ type: 'run.started', at: at(0), run, experiment: 'nightly', target: 'database', endpoint: 'e', seed: 's' },
      soak_ms: 10_000,
    },
    { type: 'step.applied', at: at(1), run, step, effect: { inEffect: 5, restored: 0, foreign: 0 }, took_ms: 250 },
    { type: 'run.phase', at: at(2), run, phase: 'soak' },
    { type: 'run.phase', at: at(12), run, phase: 'quiesce' },
    { type: 'run.phase', at: at(12), run, phase: 'rollback' },
    { type: 'step.reverted', at: at(13), run, step, kept: 2, names: ['1', '2'], took_ms: 750 },
    {
      ...{ type: 'run.finished', at: at(14), run, report: finished },
      journal: { appends: 6, syncs: 4, sync_ms: 100, slowest_sync_ms: 60 },
    },
  ]
}

/** Every sample with its value. */
async function samples(metrics: Metrics, now = status()): Promise<Map<string, number>> {
  const lines = (await metrics.text(now)).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
}

test('a run is counted by its outcome, with its times, its steps and its waits for the disk', async () => {
  const metrics = makeMetrics()
  for (const event of events(report('completed'))) metrics.sink(event)
  const all = await samples(metrics)
  const expected = {
    'chaos_runs_total{experiment="nightly",target="database",outcome="completed"}': 1,
    'chaos_runs_total{experiment="nightly",target="database",outcome="failed"}': 0,
    'chaos_unclean_runs_total{experiment="nightly"}': 0,
    'chaos_last_success_timestamp_seconds{experiment="nightly"}': Date.parse(at(20)) / 1_000,
    'chaos_soak_seconds_sum{experiment="nightly"}': 10,
    'chaos_rollback_seconds_sum{experiment="nightly"}': 2,
    'chaos_step_apply_seconds_sum{skill="db.insert_load"}': 0.25,
    'chaos_step_revert_seconds_sum{skill="db.insert_load"}': 0.75,
    'chaos_steps_total{skill="db.insert_load",result="applied"}': 1,
    'chaos_steps_total{skill="db.insert_load",result="reverted"}': 1,
    'chaos_kept_total{skill="db.insert_load"}': 2,
    chaos_journal_appends_total: 6,
    chaos_journal_syncs_total: 4,
    chaos_journal_sync_seconds_total: 0.1,
    chaos_journal_slowest_sync_seconds: 0.06,
  }
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, all.get(name)])), expected)
})

test('a run that is not clean counts once, however often its recovery is tried, and is no success', async () => {
  const metrics = makeMetrics()
  for (const event of events(report('completed', { residue, exit_code: 4 }))) metrics.sink(event)
  const again = { type: 'run.finished', run: RUN } as const
  metrics.sink({ ...again, at: at(30), report: report('completed', { residue, exit_code: 4, recovered: true }) })
  assert.ok(!(await samples(metrics)).has('chaos_last_success_timestamp_seconds{experiment="nightly"}'))
  metrics.sink({ ...again, at: at(40), report: report('completed', { recovered: true }) })
  const all = await samples(metrics)
  assert.equal(all.get('chaos_runs_total{experiment="nightly",target="database",outcome="completed"}'), 1)
  assert.equal(all.get('chaos_unclean_runs_total{experiment="nightly"}'), 1)
  assert.ok(all.has('chaos_last_success_timestamp_seconds{experiment="nightly"}'), 'undone in the end')
})

test('a run whose journal failed counts as unclean', async () => {
  const metrics = makeMetrics()
  for (const event of events(report('completed', { exit_code: 5 }))) metrics.sink(event)
  assert.equal((await samples(metrics)).get('chaos_unclean_runs_total{experiment="nightly"}'), 1)
})

test('a run that an earlier process began is counted by what its recovery says, without a soak', async () => {
  const metrics = makeMetrics()
  metrics.sink({ type: 'run.phase', at: at(1), run: RUN, phase: 'quiesce' })
  metrics.sink({ type: 'run.finished', at: at(4), run: RUN, report: report('aborted', { recovered: true }) })
  const all = await samples(metrics)
  assert.equal(all.get('chaos_runs_total{experiment="nightly",target="database",outcome="aborted"}'), 1)
  assert.equal(all.get('chaos_rollback_seconds_sum{experiment="nightly"}'), 3)
  assert.equal(all.get('chaos_soak_seconds_count{experiment="nightly"}'), undefined)
})

test('a clock that is set back in the middle of a run gives no negative time', async () => {
  const metrics = makeMetrics()
  metrics.sink({ type: 'run.phase', at: at(50), run: RUN, phase: 'soak' })
  metrics.sink({ type: 'run.phase', at: at(10), run: RUN, phase: 'quiesce' })
  metrics.sink({ type: 'run.finished', at: at(5), run: RUN, report: report('completed') })
  const all = await samples(metrics)
  assert.equal(all.get('chaos_soak_seconds_sum{experiment="nightly"}'), 0)
  assert.equal(all.get('chaos_rollback_seconds_sum{experiment="nightly"}'), 0)
})

test('skips are counted by cause; losses, clock steps and warnings are counted', async () => {
  const metrics = makeMetrics()
  const skip = { type: 'schedule.skipped', at: at(0), experiment: 'nightly', slot: at(0), reason: 'long text' } as const
  metrics.sink({ ...skip, cause: 'overlap' })
  metrics.sink({ ...skip, cause: 'overlap' })
  metrics.sink({ ...skip, cause: 'blocked' })
  metrics.sink({ type: 'worker.lost', at: at(0), run: RUN, detail: 'SIGKILL' })
  metrics.sink({ type: 'clock.stepped', at: at(0), by_ms: -5_000 })
  metrics.sink({ type: 'warning', at: at(0), message: 'w' })
  metrics.sink({ type: 'run.warning', at: at(0), run: RUN, message: 'w' })
  metrics.sink({ type: 'recovery.retry', at: at(0), run: RUN, in_ms: 1, reason: 'away' })
  const all = await samples(metrics)
  assert.equal(all.get('chaos_slots_skipped_total{experiment="nightly",cause="overlap"}'), 2)
  assert.equal(all.get('chaos_slots_skipped_total{experiment="nightly",cause="blocked"}'), 1)
  assert.equal(all.get('chaos_worker_losses_total'), 1)
  assert.equal(all.get('chaos_clock_steps_total'), 1)
  assert.equal(all.get('chaos_warnings_total'), 2)
})

test('what the status says is what is measured, and what it no longer says is gone', async () => {
  const metrics = makeMetrics()
  const [experiment] = status().experiments
  const blocked = { experiment: 'nightly', endpoint: 'postgres://db/shop', reason: 'away' }
  const first = status({
    frozen: { since: at(0), reason: 'release' },
    config: { file: 'f', loaded_at: at(0), problem: 'line 3 is wrong' },
    running: [
      { run: 'x', experiment: 'nightly', endpoint: 'e', phase: 'soak', since: at(0), steps_done: 1, steps_total: 1 },
    ],
    queued: [{ experiment: 'other', slot: at(0) }],
    blocked: [
      { ...blocked, run: 'a', pending: 2 },
      { ...blocked, run: 'b', pending: 3 },
      { ...blocked, run: 'c', pending: 0, endpoint: '' },
    ],
    notify: { delivered: 5, failed: 1, dropped: 2, waiting: 3 },
    experiments: [
      { ...experiment!, last: { run: 'x', outcome: 'failed', residue: 0, finished_at: at(9) } },
      { ...experiment!, experiment: 'off', endpoint: 'postgres://db/other', disabled: {} },
    ],
  })
  const expected = {
    'chaos_build_info{version="1.2.3"}': 1,
    chaos_ready: 1,
    chaos_frozen: 1,
    chaos_frozen_since_timestamp_seconds: Date.parse(at(0)) / 1_000,
    chaos_config_last_reload_successful: 0,
    chaos_running: 1,
    chaos_queued: 1,
    chaos_pending_undos: 3,
    chaos_residue: 5,
    chaos_blocked_targets: 2,
    'chaos_target_blocked{endpoint="postgres://db/shop"}': 1,
    'chaos_target_blocked{endpoint="postgres://db/other"}': 0,
    'chaos_target_blocked{endpoint="unknown"}': 1,
    'chaos_next_run_timestamp_seconds{experiment="nightly"}': Date.parse('2026-01-03T02:00:00Z') / 1_000,
    'chaos_schedule_interval_seconds{experiment="nightly"}': 86_400,
    'chaos_last_run_timestamp_seconds{experiment="nightly"}': Date.parse(at(9)) / 1_000,
    'chaos_experiment_disabled{experiment="nightly"}': 0,
    'chaos_experiment_disabled{experiment="off"}': 1,
    'chaos_notifications_total{result="delivered"}': 5,
    'chaos_notifications_total{result="failed"}': 1,
    'chaos_notifications_total{result="dropped"}': 2,
    chaos_notifications_waiting: 3,
  }
  await samples(metrics, first)
  const all = await samples(metrics, first)
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, all.get(name)])), expected)
  assert.ok(!all.has('chaos_schedule_interval_seconds{experiment="off"}'), 'a disabled one is not waited for')
  assert.ok(!all.has('chaos_last_success_timestamp_seconds{experiment="nightly"}'))
  const later = await samples(metrics, status({ experiments: [], ready: false, stopping: 'SIGTERM' }))
  assert.deepEqual(
    [...later.keys()].filter((name) => /nightly|postgres:|unknown/.test(name)),
    [],
  )
  assert.deepEqual([later.get('chaos_ready'), later.get('chaos_stopping'), later.get('chaos_residue')], [0, 1, 0])
})

test('the newest success is also known from the history, before this process has seen a run', async () => {
  const [experiment] = status().experiments
  const last = { run: 'x', outcome: 'completed', residue: 0, finished_at: at(9) } as const
  const of = async (more: object) => {
    const all = await samples(makeMetrics(), status({ experiments: [{ ...experiment!, last: { ...last, ...more } }] }))
    return all.get('chaos_last_success_timestamp_seconds{experiment="nightly"}')
  }
  assert.equal(await of({}), Date.parse(at(9)) / 1_000)
  assert.equal(await of({ outcome: 'ineffective' }), undefined)
  assert.equal(await of({ residue: 1 }), undefined)
})

test('the longest gap of a schedule counts, so that a weekend is no outage', () => {
  // On a clock of its own: on a busy machine the first may use up what a scrape has.
  const of = dueEvery(() => 0)
  const entry = { experiment: 'x', endpoint: 'e', timezone: 'UTC' }
  assert.equal(of({ ...entry, schedule: '0 0 2 * * 1-5' }), 3 * 86_400)
  assert.equal(of({ ...entry, schedule: '*/15 * * * * *' }), 15)
  assert.equal(of({ ...entry, schedule: '0 0 */6 * * *' }), 6 * 3_600)
  assert.equal(of(entry), undefined)
})

test('ten thousand schedules do not hold up a scrape: they are looked at a few at a time, and then remembered', () => {
  let clock = 0
  const of = dueEvery(() => (clock += 5))
  const entries = Array.from({ length: 20 }, (_, n) => ({
    ...{ experiment: `x${n}`, endpoint: 'e', timezone: 'UTC' },
    schedule: `0 ${n} 2 * * *`,
  }))
  const known = () => entries.filter((entry) => of(entry) !== undefined).length
  const first = known()
  assert.ok(first > 0 && first < 20, `${first}`)
  for (let scrape = 0; scrape < 20; scrape++) {
    clock += 15_000
    known()
  }
  assert.equal(known(), 20)
})

test('odd names survive as label values, and every line is one that Prometheus can read', async () => {
  const metrics = makeMetrics()
  const experiment = 'a "quoted" \\ name {x="y"}'
  metrics.sink({ type: 'run.finished', at: at(1), run: RUN, report: report('failed', { experiment }) })
  const text = await metrics.text(status())
  assert.ok(text.includes('experiment="a \\"quoted\\" \\\\ name {x=\\"y\\"}"'))
  for (const line of text.split('\n')) assert.match(line, /^$|^# (HELP|TYPE) |^[a-z_]+(\{.*\})? [-+.\de]+$/)
})

test('two sets of metrics in one process share nothing', async () => {
  const [one, two] = [makeMetrics(), makeMetrics()]
  one.sink({ type: 'clock.stepped', at: at(0), by_ms: 1 })
  assert.equal((await samples(two)).get('chaos_clock_steps_total'), 0)
})

test('the process metrics are those of this process, and are counted up once', async () => {
  const metrics = makeMetrics()
  await samples(metrics)
  const all = await samples(metrics)
  const cpu = process.cpuUsage()
  assert.ok(all.get('process_cpu_seconds_total')! <= (cpu.user + cpu.system) / 1e6)
  assert.ok(Math.abs(all.get('process_start_time_seconds')! - (Date.now() / 1_000 - process.uptime())) < 10)
  assert.ok(all.get('process_resident_memory_bytes')! > 1e6)
  assert.ok(all.get('nodejs_eventloop_lag_seconds')! < 10)
})

test('every metric has a help text, a name with its base unit, and counters end in _total', () => {
  const metrics = makeMetrics().describe()
  assert.ok(metrics.length > 30)
  for (const { name, help, type, labels } of metrics) {
    assert.match(name, /^(chaos|process|nodejs)_[a-z_]+$/)
    assert.ok(help.length > 10 && !help.includes('\n'), name)
    assert.equal(type === 'counter', name.endsWith('_total'), name)
    assert.doesNotMatch(name, /_(ms|minutes|hours|kb|mb)(_|$)/)
    assert.doesNotMatch(labels.join(), /run|reason|error|step|resource/, 'labels whose values never end')
  }
})
