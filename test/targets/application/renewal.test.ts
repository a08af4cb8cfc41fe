/** What the renewal of a lease takes for its loss, second by second, where an application answers as the test wants it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AppClient, Instance, Seen, Silence } from '../../../src/targets/application/client.ts'
import { SaidNoError } from '../../../src/targets/application/client.ts'
import { remember } from '../../../src/targets/application/fate.ts'
import { keepRenewed } from '../../../src/targets/application/renewal.ts'
import { UNDO_MS } from '../../../src/core/skill.ts'
import { VirtualClock } from '../../fakes/virtual-clock.ts'

const LEASE_MS = 10_000
const HELD_MS = UNDO_MS + 60_000
const ADDRESS = 'http://10.0.0.7:4711'
const LOST = { refused: 'nothing listens there', stranger: 'what answers there is no application of ours (502)' }
const OVER = 'it was held for as long as it may be'

/** One whose pid means nothing here. */
function instanceOf(instance: string, address = ADDRESS): Instance {
  return { address, hello: { protocol: 1, app: 'shop', instance, pid: 1, process: null, components: [] } }
}

/** Holds a lease of `one`; `seen` is what there is at a time, `has` whether a renewal succeeds there, `grants` whether a grant does. */
async function lossOf(
  one: Instance,
  seen: (ms: number) => Seen,
  has: (address: string, ms: number) => boolean = () => true,
  grants: (ms: number) => boolean = () => true,
): Promise<{ why: string; ms: number; granted: [string, number][] }> {
  const clock = new VirtualClock(0, 2 * HELD_MS)
  const granted: [string, number][] = []
  const marked = { mark: 'chaos-abcdef-r1-0' }
  const target: AppClient = {
    app: 'shop',
    look: () => Promise.resolve(seen(clock.monotonic())),
    addresses: () => Promise.resolve([]),
    grant(address) {
      granted.push([address, clock.monotonic()])
      return grants(clock.monotonic()) ? Promise.resolve(marked) : Promise.reject(new Error('no answer'))
    },
    renew(address) {
      if (has(address, clock.monotonic())) return Promise.resolve(marked)
      return Promise.reject(new SaidNoError('unknown', 'there is no lease of that mark in force'))
    },
    end: () => Promise.resolve({ ended: [] }),
    leases: () => Promise.resolve([]),
  }
  const fault = { fault_type: 'error', error_code: 503 } as const
  const given = { ...marked, key: 'k'.repeat(24), component: 'pay', fault }
  const grant = { ...given, faults: [fault], components: ['pay'], lease_ms: LEASE_MS }
  const held = keepRenewed(target, { grant, given, instances: [remember(one)], heldMs: HELD_MS }, clock)
  try {
    return { why: await held.lost!, ms: clock.monotonic(), granted }
  } finally {
    await held.close()
  }
}

for (const why of ['refused', 'stranger'] as const) {
  const one = instanceOf('i1')
  const there: Seen = { instances: [one], silences: [] }
  const silence: Silence = { address: ADDRESS, why, message: LOST[why] }
  const away: Seen = { instances: [], silences: [silence] }

  test(`an instance whose pid cannot be seen is ${why} for shorter than its lease: it has not ended, and neither has its fault`, async () => {
    const { why, ms } = await lossOf(one, (ms) => (ms === 5_000 || (ms >= 20_000 && ms < 29_000) ? away : there))
    assert.deepEqual([why, ms], [OVER, HELD_MS])
  })

  test(`an instance whose pid cannot be seen is ${why} until its lease has run out: that is the loss`, async () => {
    const lost = await lossOf(one, (ms) => (ms > 20_000 ? away : there))
    assert.equal(
      lost.why,
      `instance i1 of shop (pid 1, ${ADDRESS}) cannot be asked (${silence.message}), and its lease of 10s has run out`,
    )
    assert.equal(lost.ms, 31_000)
  })
}

test('another instance answers where one was whose pid cannot be seen: that one has ended, which is told at once', async () => {
  const there: Seen = { instances: [instanceOf('i1')], silences: [] }
  const another: Seen = { instances: [instanceOf('i2')], silences: [] }
  const { why, ms } = await lossOf(instanceOf('i1'), (ms) => (ms > 5_000 ? another : there))
  assert.equal(why, `instance i1 of shop (pid 1, ${ADDRESS}) has ended, and its faults with it`)
  assert.equal(ms, 6_000)
})

test('an instance that comes later gets the fault once: when its lease has ended it is not granted again', async () => {
  const [one, late] = [instanceOf('i1'), instanceOf('i2', 'http://10.0.0.8:4711')]
  const { why, granted } = await lossOf(
    one,
    (ms) => ({ instances: ms < 5_000 ? [one] : [one, late], silences: [] }),
    // It is renewed twice, and then somebody ends it.
    (address, ms) => address === one.address || ms === 6_000 || ms === 7_000,
  )
  assert.equal(why, OVER)
  assert.deepEqual(granted, [[late.address, 5_000]])
})

test('an instance that comes later and whose grant fails is tried again', async () => {
  const [one, late] = [instanceOf('i1'), instanceOf('i2', 'http://10.0.0.8:4711')]
  const { granted } = await lossOf(
    one,
    () => ({ instances: [one, late], silences: [] }),
    (address) => address === one.address,
    (ms) => ms >= 3_000,
  )
  assert.deepEqual(
    granted,
    [1_000, 2_000, 3_000].map((ms) => [late.address, ms]),
  )
})
