/** Bytes of every kind at the control socket and in the small files of the state folder: answered, passed over or refused, never a crash. */
import assert from 'node:assert/strict'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { JournalError } from '../../src/core/errors.ts'
import { obey } from '../../src/daemon/control/commands.ts'
import type { CommandTargets } from '../../src/daemon/control/commands.ts'
import { serveControl } from '../../src/daemon/control/server.ts'
import { openHandled } from '../../src/daemon/schedule-file.ts'
import { readHolder } from '../../src/supervisor/lock.ts'
import { openOrders } from '../../src/journal/file-orders.ts'
import { disabledNow, frozenNow } from '../../src/journal/orders.ts'
import { slotLog } from '../../src/journal/due-log.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { folder } from '../supervisor/helpers.ts'

const NOW = Date.UTC(2026, 10, 25)
const AT = new Date(NOW).toISOString()
const TIMES = Number(process.env['CHAOS_FUZZ'] ?? 1)
const runs = (numRuns: number) => ({ numRuns: numRuns * TIMES, interruptAfterTimeLimit: 1_500 * TIMES })

/** What `text` may become: cut, with bytes changed, lines twice, values replaced by those of another type. */
function changed(text: string): fc.Arbitrary<Buffer> {
  const bytes = Buffer.from(text)
  const at = fc.nat(Math.max(0, bytes.length - 1))
  const value = fc.constantFrom(
    'null',
    '5',
    '-1',
    '[]',
    '{}',
    '"x"',
    'true',
    '1e999',
    '"__proto__"',
    '{"__proto__":{}}',
  )
  const values = [...text.matchAll(/"[^"]*"|\b\d+\b|null|true/g)]
  return fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((noise) => Buffer.from(noise)),
    fc.json().map((json) => Buffer.from(json)),
    at.map((length) => bytes.subarray(0, length)),
    fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([i, flip]) => {
      const copy = Buffer.from(bytes)
      copy[i]! ^= flip
      return copy
    }),
    fc.tuple(at, fc.nat(60)).map(([i, zeros]) => Buffer.from(bytes).fill(0, i, Math.min(i + zeros, bytes.length))),
    fc.tuple(fc.nat(Math.max(0, values.length - 1)), value).map(([i, put]) => {
      const found = values[i]
      return Buffer.from(found ? text.slice(0, found.index) + put + text.slice(found.index + found[0].length) : put)
    }),
  )
}

const ORDERS = JSON.stringify({
  frozen: { since: AT, reason: 'release', until: AT },
  disabled: { e: { since: AT, until: AT }, f: { since: AT } },
  trusted: [{ endpoint: 'x', identity: { id: 'one', port: null }, since: AT }],
})
const SLOTS = `\n{"at":"${AT}","experiment":"e","slot":"${AT}","run":"r"}\n{"at":"${AT}","experiment":"e","slot":"${AT}","skipped":{"cause":"missed","reason":"asleep"}}`
const HANDLED = `{"version": 1, "experiments": {\n"e": {"schedule":"0 0 3 1 1 * UTC","until":"${AT}","passed":["${AT}","${AT}"],"retired":true}\n}}\n`
const NOTE = `{"pid":4711,"start_time":"12","command":"daemon","started_at":"${AT}","workers":[{"pid":4712,"start_time":"13","run":"r"}],"control":"/x"}\n`
const REPORT = JSON.stringify({
  ...{ run: 'r', experiment: 'e', target: 'fake', endpoint: 'x', seed: 's', outcome: 'completed', recovered: false },
  ...{ started_at: AT, finished_at: AT, soak_ms: 0, residue: [], steps: [], notes: [], exit_code: 0 },
})

test('orders of any bytes are those that were written, or mean frozen', async (t) => {
  const dir = folder(t)
  await fc.assert(
    fc.asyncProperty(changed(ORDERS), async (bytes) => {
      writeFileSync(join(dir, 'orders.json'), bytes)
      const { current } = await openOrders(dir, NOW)
      const frozen = frozenNow(current, NOW)
      assert.ok(frozen === undefined || typeof frozen.reason === 'string')
      disabledNow(current, 'e', NOW)
      assert.equal(disabledNow(current, 'toString', NOW), undefined)
      for (const { endpoint, identity } of current.trusted) assert.ok(typeof endpoint === 'string' && identity)
    }),
    runs(400),
  )
})

test('records of due times of any bytes are read to those that are whole', async (t) => {
  const dir = folder(t)
  await fc.assert(
    fc.asyncProperty(changed(SLOTS), async (bytes) => {
      writeFileSync(join(dir, 'slots.jsonl'), bytes)
      for (const { at, experiment, slot, skipped } of await slotLog(dir).read()) {
        assert.ok([Date.parse(at), Date.parse(slot)].every(Number.isFinite) && typeof experiment === 'string')
        assert.ok(skipped === undefined || typeof skipped.reason === 'string')
      }
    }),
    runs(400),
  )
})

test('a schedule.json of any bytes is read whole or begun anew, and what was there is kept', async (t) => {
  const dir = folder(t)
  await fc.assert(
    fc.asyncProperty(changed(HANDLED), async (bytes) => {
      writeFileSync(join(dir, 'schedule.json'), bytes)
      const warnings: string[] = []
      const { slots } = await openHandled(dir, (message) => warnings.push(message))
      for (const { schedule, until, passed } of slots.values()) {
        assert.ok(typeof schedule === 'string' && Number.isFinite(until))
        assert.ok(passed === undefined || (Number.isFinite(passed.from) && Number.isFinite(passed.to)))
      }
      const aside = readdirSync(dir).filter((name) => name.startsWith('schedule.json.damaged-'))
      assert.deepEqual([aside.length, slots.size > 0 && warnings.length > 0], [warnings.length, false])
      for (const name of aside) rmSync(join(dir, name))
    }),
    runs(300),
  )
})

test('the note of the holder never names a process that is none', async (t) => {
  const dir = folder(t)
  await fc.assert(
    fc.asyncProperty(changed(NOTE), async (bytes) => {
      writeFileSync(join(dir, 'daemon.json'), bytes)
      const note = await readHolder(dir)
      for (const { pid, start_time } of note ? [note, ...note.workers] : [])
        assert.ok(Number.isSafeInteger(pid) && pid > 0 && typeof start_time === 'string')
    }),
    runs(400),
  )
})

test('a report or a secret of any bytes is read, or a typed error that does not quote it', async (t) => {
  const state = await openStateDir(folder(t))
  await fc.assert(
    fc.asyncProperty(changed(REPORT), async (bytes) => {
      writeFileSync(join(state.path, 'history', 'r.json'), bytes)
      writeFileSync(join(state.path, 'secrets', 'r'), Buffer.concat([Buffer.from('hunter2'), bytes]))
      const report = await state.history.read('r').catch((error: unknown) => {
        assert.ok(error instanceof JournalError)
      })
      if (report) assert.ok(Array.isArray(report.steps) && Number.isFinite(Date.parse(report.finished_at)))
      await assert.rejects(
        state.secrets.read('r'),
        (error) => error instanceof JournalError && !/hunter2/.test(String(error)),
      )
    }),
    runs(400),
  )
})

test('requests of any bytes are answered with an error or the connection is closed, and the next one is served', async (t) => {
  const path = join(folder(t), 'control.sock')
  const nameless: unknown[] = []
  const server = await serveControl(path, (request) => {
    if (request.op !== 'abort') return obey(request, {} as CommandTargets)
    if (typeof request.run !== 'string' || typeof request.reason !== 'string') nameless.push(request)
    return Promise.resolve('reached')
  })
  t.after(() => server.close())
  const request = changed('{"op":"abort","run":"r","reason":"why"}\n')
  await fc.assert(
    fc.asyncProperty(request, fc.boolean(), async (bytes, end) => {
      const answer = await said(path, end ? bytes : Buffer.concat([bytes, Buffer.from('\n')]))
      assert.match(answer, /^$|^\{"ok":(?:false|true).*\}\n$/)
    }),
    runs(300),
  )
  assert.deepEqual(nameless, [], 'a request whose fields are of other types has reached the daemon')
  assert.match(await said(path, Buffer.from('{"op":"freeze","reason":5}\n')), /not of the form of this version: freeze/)
  assert.match(await said(path, Buffer.from('{"op":"dance"}\n')), /this daemon does not know \\"dance\\"/)
  assert.match(await said(path, Buffer.alloc(3 * 2 ** 20, 'x')), /^$|too long/)
})

/** What comes back until the other side closes; it may do so while we still write. */
function said(path: string, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path)
    let out = ''
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.end(bytes))
    socket.on('data', (chunk: string) => (out += chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(out))
  })
}
