/** The log's lines: what is on each of them, and how much is said. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../src/core/errors.ts'
import type { ChaosEvent } from '../../src/core/events.ts'
import type { StepView } from '../../src/core/plan-view.ts'
import { logSink } from '../../src/observe/log.ts'
import { logLevelOf } from '../../src/observe/log-level.ts'
import type { LogLevel } from '../../src/observe/log-level.ts'
import { at, finished, reportOf, residue } from './notifications.ts'

const step: StepView = { step: 2, skill: 'db.insert_load', resource: 'public.users', describe: 'insert 10 rows' }
const started: ChaosEvent = {
  ...{ type: 'run.started', at, run: 'r1', experiment: 'nightly', target: 'database', endpoint: 'pg', seed: 's' },
  soak_ms: 1,
}

function log(level: LogLevel, ...events: ChaosEvent[]): Record<string, unknown>[] {
  let text = ''
  const experiments = new Map([['r0', 'of-before']])
  const sink = logSink({ level, version: '1.2.3', install: 'abc123', experiments, write: (line) => (text += line) })
  for (const event of events) sink(event)
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

test('every line of a run has its run and its experiment, and of a step its number; all have time, level, version and installation', () => {
  const lines = log(
    'debug',
    started,
    { type: 'step.applying', at, run: 'r1', step },
    { type: 'step.failed', at, run: 'r1', step, error: 'no' },
    { type: 'worker.lost', at, run: 'r1', detail: 'SIGKILL' },
    finished({ experiment: 'nightly' }),
  )
  assert.equal(lines.length, 5)
  for (const line of lines) {
    assert.deepEqual([line['run'], line['experiment']], ['r1', 'nightly'], JSON.stringify(line))
    assert.deepEqual(
      [line['time'], line['version'], line['install'], line['pid']],
      [at, '1.2.3', 'abc123', process.pid],
    )
  }
  assert.deepEqual(
    lines.map(({ level, msg, step }) => [level, msg, step]),
    [
      ['info', 'run.started', undefined],
      ['debug', 'step.applying', 2],
      ['warn', 'step.failed', 2],
      ['warn', 'worker.lost', undefined],
      ['info', 'run.finished', undefined],
    ],
  )
  assert.deepEqual([lines[1]?.['skill'], lines[1]?.['describe']], ['db.insert_load', 'insert 10 rows'])
})

test('a run of an earlier process has its experiment too, and one that is not undone keeps it', () => {
  const retry: ChaosEvent = { type: 'recovery.retry', at, run: 'r0', in_ms: 1, reason: 'away' }
  const lines = log('info', retry, finished({ run: 'r0', experiment: 'of-before', residue, exit_code: 4 }), retry)
  assert.deepEqual(
    lines.map((line) => line['experiment']),
    ['of-before', 'of-before', 'of-before'],
  )
  assert.equal(lines[1]?.['level'], 'error')
})

test('the end of a run is one short line: numbers of its steps, not the steps, and no names of rows that were kept', () => {
  const steps = Array.from({ length: 500 }, (_, i) => ({
    ...{ ...step, step: i, state: 'reverted' as const, kept: 1, kept_names: ['Jane Doe'] },
  }))
  const [line] = log('info', finished({ steps }))
  assert.deepEqual([line?.['steps'], line?.['reverted'], line?.['kept']], [500, 500, 500])
  assert.ok(JSON.stringify(line).length < 1_000)
  assert.doesNotMatch(JSON.stringify(line), /Jane/)
})

test('the level says how much: warn leaves out what went well, silent everything', () => {
  const events: ChaosEvent[] = [started, { type: 'warning', at, message: 'm' }, finished({ outcome: 'failed' })]
  assert.equal(log('info', ...events).length, 3)
  assert.equal(log('warn', ...events).length, 2)
  assert.equal(log('silent', ...events).length, 0)
  assert.equal(reportOf().outcome, 'completed')
})

test('a level that does not exist is an error that names those that do; none is info', () => {
  assert.equal(logLevelOf(undefined), 'info')
  assert.equal(logLevelOf(''), 'info')
  assert.equal(logLevelOf('DEBUG'), 'debug')
  assert.throws(
    () => logLevelOf('verbose'),
    (error) =>
      error instanceof ConfigError &&
      error.exitCode === 2 &&
      error.message ===
        'environment: CHAOS_LOG_LEVEL: must be one of fatal, error, warn, info, debug, trace, silent, got "verbose"',
  )
})
