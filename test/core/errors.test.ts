import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  CodedError,
  ConfigError,
  ERROR_CODES,
  formatProblem,
  JournalError,
  messageOf,
  RefusedError,
  RollbackError,
  StaleError,
  StepError,
  TargetError,
} from '../../src/core/errors.ts'
import { worstExitCode } from '../../src/core/report.ts'

test('exit codes say who must act: 1 target or step, 2 configuration, 3 safety rule, 4 residue, 5 journal, 75 locked, 78 newer', () => {
  const byExit = new Map<number, string[]>()
  for (const [code, exit] of Object.entries(ERROR_CODES)) byExit.set(exit, [...(byExit.get(exit) ?? []), code])
  assert.deepEqual(Object.fromEntries(byExit), {
    1: [
      'TARGET_UNREACHABLE',
      'TARGET_PRIVILEGE',
      'TARGET_FAILED',
      'STEP_FAILED',
      'STEP_STALE',
      'WORKER_LOST',
      'NO_DAEMON',
      'NO_ANSWER',
      'CONTROL_SOCKET',
    ],
    2: ['CONFIG_INVALID', 'CONFIG_NOT_ON_TARGET', 'USAGE'],
    3: [
      'REFUSED_PROTECTED',
      'REFUSED_LIMIT',
      'REFUSED_UNSUITABLE',
      'REFUSED_CLAIMED',
      'REFUSED_FAILSAFE',
      'REFUSED_POOLER',
      'REFUSED_UNTRUSTED',
      'REFUSED_FROZEN',
      'REFUSED_CALENDAR',
    ],
    4: ['BLOCKED_BY_RESIDUE', 'RESIDUE', 'IDENTITY_MISMATCH'],
    5: ['JOURNAL_WRITE', 'JOURNAL_READ', 'STATE_EXPOSED'],
    75: ['LOCKED'],
    78: ['JOURNAL_NEWER'],
    130: ['ABORTED'],
  })
})

test('every error of ours has its class as its name, its code, its exit code and its cause', () => {
  const cause = new Error('below')
  const errors = [
    new RefusedError('REFUSED_LIMIT', 'm', { cause }),
    new TargetError('TARGET_FAILED', 'm', { cause }),
    new StepError('STEP_FAILED', 'm', { cause }),
    new RollbackError('RESIDUE', 'm', { cause }),
    new JournalError('JOURNAL_NEWER', 'm', { cause }),
  ]
  assert.deepEqual(
    errors.map((e) => [e.name, e.code, e.exitCode, e.cause]),
    [
      ['RefusedError', 'REFUSED_LIMIT', 3, cause],
      ['TargetError', 'TARGET_FAILED', 1, cause],
      ['StepError', 'STEP_FAILED', 1, cause],
      ['RollbackError', 'RESIDUE', 4, cause],
      ['JournalError', 'JOURNAL_NEWER', 78, cause],
    ],
  )
  assert.ok(new StaleError('m') instanceof CodedError)
})

test('a configuration error carries every problem, a line each, and leaves out places that are not known', () => {
  const at = { file: 'c.yaml', line: 3, column: 7, path: 'a.b', message: 'is wrong' }
  assert.equal(formatProblem(at), 'c.yaml:3:7: a.b: is wrong')
  assert.equal(formatProblem({ ...at, line: 0, path: '' }), 'c.yaml: is wrong')
  assert.equal(new ConfigError([at, { ...at, line: 4 }]).message.split('\n').length, 2)
  assert.equal(new ConfigError([at], 'USAGE').exitCode, 2)
})

test('the text of an error has what its causes add, once, and what an error without a message can say', () => {
  assert.equal(messageOf(new Error('a', { cause: new Error('b', { cause: new Error('c') }) })), 'a: b: c')
  assert.equal(messageOf(new Error('cannot read: b', { cause: new Error('b') })), 'cannot read: b')
  assert.equal(messageOf(new Error('a', { cause: undefined })), 'a')
  assert.equal(messageOf('text'), 'text')
  assert.equal(messageOf(Object.assign(new Error(''), { code: 'ECONNREFUSED' })), 'ECONNREFUSED')
  assert.equal(messageOf(new AggregateError([new Error('v6'), new Error('v4')], 'all')), 'all; v6; v4')
})

test('of several exit codes the worst counts: 5, 4, 2, 3, 1, 6, and all of them over 0 and aborts', () => {
  const order = [5, 4, 2, 3, 1, 6]
  for (const [i, worse] of order.entries()) {
    for (const better of [...order.slice(i + 1), 130, 143, 0]) {
      assert.equal(worstExitCode([better, worse]), worse)
      assert.equal(worstExitCode([worse, better]), worse)
    }
  }
  assert.equal(worstExitCode([0, 130, 0]), 130)
  assert.equal(worstExitCode([0, 70]), 70)
  assert.equal(worstExitCode([0, 0]), 0)
  assert.equal(worstExitCode([]), 0)
})
