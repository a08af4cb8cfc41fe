import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import type { ScheduledExperiment } from '../../src/core/experiment.ts'
import { makeSchedule } from '../../src/daemon/schedule.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'

function entry(
  name: string,
  schedule: string | undefined,
  more: Partial<ScheduledExperiment> = {},
): ScheduledExperiment {
  return {
    experiment: fakeExperiment([], { name }),
    ...(schedule === undefined ? {} : { schedule }),
    ...{ enabled: true, timezone: 'UTC', on_busy: 'queue' },
    ...more,
  }
}

const HOUR = 3_600_000
const nothing = { due: () => undefined, missed: () => undefined }

test('an experiment of every second is due every second, at its slot and never before it', async () => {
  const slots: { slot: number; at: number }[] = []
  const due = (_: ScheduledExperiment, slot: Date): void => void slots.push({ slot: slot.getTime(), at: Date.now() })
  const schedule = makeSchedule([entry('e', '* * * * * *')], { ...nothing, due })
  schedule.start()
  await until(() => slots.length >= 3, 'it is not due three times')
  schedule.stop()
  for (const [i, { slot, at }] of slots.entries()) {
    assert.equal(slot % 1000, 0)
    assert.ok(at >= slot, `due ${slot - at} ms before its slot`)
    if (i > 0) assert.equal(slot - slots[i - 1]!.slot, 1000)
  }
})

test('nothing is due before start, after stop, when disabled or without a schedule', async () => {
  const names: string[] = []
  const due = ({ experiment }: ScheduledExperiment): void => void names.push(experiment.name)
  const every = '* * * * * *'
  const entries = [entry('on', every), entry('off', every, { enabled: false }), entry('none', undefined)]
  const never = makeSchedule(entries, { ...nothing, due })
  const schedule = makeSchedule(entries, { ...nothing, due })
  schedule.start()
  await until(() => names.length > 0, 'nothing is due')
  schedule.stop()
  assert.deepEqual(new Set(names), new Set(['on']))
  const n = names.length
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  assert.equal(names.length, n)
  never.stop()
})

test('next is the next slot in the time zone of the experiment; of others it is undefined', () => {
  const entries = [
    entry('utc', '0 30 3 1 1 *'),
    entry('tokyo', '0 30 3 1 1 *', { timezone: 'Asia/Tokyo' }),
    entry('off', '* * * * * *', { enabled: false }),
  ]
  const schedule = makeSchedule(entries, nothing)
  schedule.start()
  const year = new Date().getUTCFullYear() + 1
  assert.equal(schedule.next('utc')?.toISOString(), `${year}-01-01T03:30:00.000Z`)
  assert.match(schedule.next('tokyo')?.toISOString() ?? '', /-12-31T18:30:00\.000Z$/)
  assert.deepEqual([schedule.next('off'), schedule.next('unknown')], [undefined, undefined])
  schedule.stop()
})

test('slots that passed while the process could not run are missed; one that is less than 30 s late is still due', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 0, 1, 0, 0, 0) })
  const told: string[] = []
  const tell = (what: string) => (_: ScheduledExperiment, slot: Date) => {
    told.push(`${what} ${slot.toISOString().slice(11, 19)}`)
  }
  const later = async (from: number, ms: number): Promise<void> => {
    mock.timers.setTime(Date.UTC(2026, 0, 1) + from)
    mock.timers.tick(ms)
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  const schedule = makeSchedule([entry('e', '0 0 * * * *')], { due: tell('due'), missed: tell('missed') })
  try {
    schedule.start()
    await later(0, HOUR)
    assert.deepEqual(told, ['due 01:00:00'])
    // The clock jumps to 25 s after the next slot before the timer fires, then to ten minutes after the one after next.
    await later(HOUR + 25_000, HOUR)
    assert.deepEqual(told.splice(0), ['due 01:00:00', 'due 02:00:00'])
    await later(3 * HOUR + 600_000, HOUR)
    assert.deepEqual(told, ['missed 03:00:00', 'missed 04:00:00'])
  } finally {
    schedule.stop()
    mock.timers.reset()
  }
})
