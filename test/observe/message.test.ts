/** Which events are told, and what is said. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChaosEvent } from '../../src/core/events.ts'
import { notificationOf, withoutValues } from '../../src/observe/message.ts'
import { Throttle } from '../../src/observe/throttle.ts'
import { at, finished, residue } from './notifications.ts'

const kindOf = (event: ChaosEvent): string | undefined => notificationOf(event)?.kind

test('each way a run can end is told as its kind, and a run that went well or was stopped is not told at all', () => {
  assert.equal(kindOf(finished()), undefined)
  assert.equal(kindOf(finished({ outcome: 'aborted', exit_code: 130 })), undefined)
  assert.equal(kindOf(finished({ outcome: 'failed', exit_code: 1 })), 'failed')
  assert.equal(kindOf(finished({ outcome: 'refused', exit_code: 3 })), 'failed')
  assert.equal(kindOf(finished({ outcome: 'refused', exit_code: 2 })), 'failed')
  assert.equal(kindOf(finished({ outcome: 'ineffective', exit_code: 1 })), 'ineffective')
  assert.equal(kindOf(finished({ outcome: 'refused', exit_code: 4 })), 'blocked')
  assert.equal(kindOf(finished({ outcome: 'completed', residue, exit_code: 4 })), 'residue')
  assert.equal(kindOf(finished({ outcome: 'failed', exit_code: 5 })), 'residue')
  assert.equal(kindOf(finished({ outcome: 'aborted', recovered: true })), 'recovered')
  assert.equal(kindOf(finished({ outcome: 'failed', recovered: true, residue, exit_code: 4 })), 'residue')
})

test('a due time that does not become a run is skipped, and blocked where an earlier run is in the way', () => {
  const skipped = { type: 'schedule.skipped', at, experiment: 'e', slot: at } as const
  assert.equal(kindOf({ ...skipped, cause: 'busy', reason: 'all slots are taken' }), 'skipped')
  const blocked = notificationOf({ ...skipped, cause: 'blocked', reason: 'an earlier run', about: { run: 'r0' } })
  assert.deepEqual([blocked?.kind, blocked?.run], ['blocked', 'r0'])
  assert.equal(kindOf({ type: 'daemon.frozen', at, reason: 'release' }), 'frozen')
  assert.equal(kindOf({ type: 'daemon.reload_failed', at, file: 'c.yaml', problem: 'p' }), 'reload_failed')
  assert.equal(kindOf({ type: 'warning', at, message: 'm' }), undefined, 'else a failed delivery would be delivered')
})

test('a retry that is not the first says which experiment it is of', () => {
  const retry: ChaosEvent = { type: 'recovery.retry', at, run: 'r1', in_ms: 300_000, reason: 'away' }
  const message = notificationOf(retry, { experiment: 'nightly', endpoint: 'pg' })
  assert.deepEqual([message?.kind, message?.experiment, message?.endpoint], ['residue', 'nightly', 'pg'])
  assert.match(message?.title ?? '', /r1 \(nightly\) is still not undone/)
})

test('values that a server quotes in its errors are not told, names of things are', () => {
  assert.equal(
    withoutValues('invalid input syntax for type integer: "Jane Doe"'),
    'invalid input syntax for type integer: "…"',
  )
  assert.equal(withoutValues('value "jane@doe" is out of range'), 'value "…" is out of range')
  assert.equal(withoutValues('Key (email)=(jane@doe) exists'), 'Key (email)=(…) exists')
  assert.equal(withoutValues("near 'Jane'"), "near '…'")
  assert.equal(withoutValues('relation "public.users" does not exist.'), 'relation "public.users" does not exist')
  assert.ok(withoutValues('x'.repeat(10_000)).length < 1_000)
  const kept = finished({
    outcome: 'failed',
    exit_code: 1,
    reason: 'bad: "Jane"',
    steps: [{ step: 1, skill: 's', resource: 'r', describe: 'd', state: 'reverted', kept: 1, kept_names: ['Jane'] }],
  })
  assert.doesNotMatch(JSON.stringify(notificationOf(kept)), /Jane/)
})

test('the same of the same run is told once an hour with its number; another run, and a new residue after recovery, at once', () => {
  const throttle = new Throttle()
  const left = notificationOf(finished({ residue, exit_code: 4 }))!
  const other = notificationOf(finished({ run: 'r2', residue, exit_code: 4 }))!
  const recovered = notificationOf(finished({ recovered: true }))!
  const minute = 60_000
  assert.equal(throttle.count(left, 0), 1)
  for (let i = 1; i <= 11; i++) assert.equal(throttle.count(left, i * 5 * minute), undefined)
  assert.equal(throttle.count(other, 10 * minute), 1)
  assert.equal(throttle.count(left, 60 * minute), 12)
  assert.equal(throttle.count(left, 61 * minute), undefined)
  assert.equal(throttle.count(recovered, 62 * minute), 1)
  assert.equal(throttle.count(left, 63 * minute), 1)
  for (let i = 0; i < 3; i++) assert.equal(throttle.count(notificationOf(finished({ outcome: 'failed' }))!, i), 1)
})

test('every experiment that one run blocks is told, each once an hour, whatever ids its refused runs have', () => {
  const throttle = new Throttle()
  const blocked = (experiment: string, run: string, by?: string) =>
    notificationOf(
      finished({
        experiment,
        run,
        outcome: 'refused',
        exit_code: 4,
        ...(by === undefined ? {} : { about: { run: by } }),
      }),
    )!
  assert.equal(throttle.count(blocked('a', 'r2', 'r1'), 0), 1)
  assert.equal(throttle.count(blocked('a', 'r3', 'r1'), 1), undefined)
  assert.equal(throttle.count(blocked('b', 'r4', 'r1'), 2), 1)
  assert.equal(throttle.count(blocked('c', 'r5'), 3), 1)
  assert.equal(throttle.count(blocked('c', 'r6'), 4), undefined)
})
