/** StandingOrders outlive the process, and a file of them that cannot be read is taken for "frozen". */
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openOrders } from '../../src/journal/file-orders.ts'
import { disabledNow, frozenNow } from '../../src/journal/orders.ts'
import { slotLog } from '../../src/journal/due-log.ts'
import { folder } from '../supervisor/helpers.ts'

const NOW = Date.UTC(2026, 10, 25)
const iso = (ms: number): string => new Date(ms).toISOString()

test('what was ordered is there for the next process, and an order whose time is over is over', async (t) => {
  const dir = folder(t)
  const orders = await openOrders(dir, NOW)
  await Promise.all([
    orders.change((o) => ({ ...o, frozen: { since: iso(NOW), reason: 'release', until: iso(NOW + 1_000) } })),
    orders.change((o) => ({ ...o, disabled: { ...o.disabled, a: { since: iso(NOW) } } })),
    orders.change((o) => ({ ...o, disabled: { ...o.disabled, b: { since: iso(NOW), until: iso(NOW + 1_000) } } })),
  ])
  const { current } = await openOrders(dir, NOW)
  assert.equal(frozenNow(current, NOW + 999)?.reason, 'release')
  assert.equal(frozenNow(current, NOW + 1_000), undefined)
  assert.deepEqual(disabledNow(current, 'a', NOW + 1_000), {})
  assert.equal(disabledNow(current, 'b', NOW + 1_000), undefined)
  assert.equal(disabledNow(current, 'toString', NOW), undefined)
})

test('orders that cannot be read mean frozen, and the next order begins the file anew and keeps the old one aside', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'orders.json'), '{"frozen": tru')
  const orders = await openOrders(dir, NOW)
  assert.match(frozenNow(orders.current, NOW)?.reason ?? '', /orders\.json cannot be read/)
  await orders.change(({ disabled, trusted }) => ({ disabled, trusted }))
  assert.equal(frozenNow((await openOrders(dir, NOW)).current, NOW), undefined)
  assert.ok(readdirSync(dir).some((name) => name.startsWith('orders.json.damaged-')))
})

test('a line of the record of due times that a crash has cut off takes no other with it', async (t) => {
  const dir = folder(t)
  const log = slotLog(dir)
  const record = (experiment: string) => ({ at: iso(NOW), experiment, slot: iso(NOW), run: 'r' })
  await log.append(record('a'))
  writeFileSync(join(dir, 'slots.jsonl'), '\n{"at":"2026-11-25T00:00:00.0', { flag: 'a' })
  await log.append(record('b'))
  assert.deepEqual(
    (await log.read()).map((r) => r.experiment),
    ['a', 'b'],
  )
  await log.prune(NOW + 1)
  assert.deepEqual(await log.read(), [])
})
