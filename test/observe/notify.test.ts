/** Real receivers that are down, slow or wrong, and real commands that hang, fail or flood: who emits never notices. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Clock } from '../../src/core/clock.ts'
import type { Notification, NotifySink } from '../../src/core/notify.ts'
import { startNotifier } from '../../src/observe/notify.ts'
import type { Notifier } from '../../src/observe/notify.ts'
import { until } from '../fakes/clock.ts'
import { Receiver } from '../fakes/receiver.ts'
import type { Answer } from '../fakes/receiver.ts'
import { at, finished, hook, residue } from './notifications.ts'

/** The ends of one attempt: a machine that is busy may need a second for what takes a millisecond. */
const ATTEMPT_MS = [10_000, 30_000]

/** Pauses are a hundred times as fast, the ends of attempts ten times. */
const fast: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 100,
  sleep: (ms, signal) => sleep(ms / (ATTEMPT_MS.includes(ms) ? 10 : 100), undefined, signal ? { signal } : {}),
}

function notifier(sinks: NotifySink[], t: TestContext): { told: Notifier; warnings: string[] } {
  const warnings: string[] = []
  const told = startNotifier({
    ...{ sinks, clock: fast, random: () => 0.4, version: '1.2.3', host: 'box', install: 'abc123', env: process.env },
    warn: (event) => void warnings.push(event.message),
  })
  t.after(() => told.close(0))
  return { told, warnings }
}

const failed = (run: string) => finished({ run, outcome: 'failed', exit_code: 1, reason: 'away' })

/** Emitting takes microseconds; this is what a busy machine may make of it, and far below what one attempt may take. */
const AT_ONCE_MS = 2_000

function emitTimed(told: Notifier, runs: number): void {
  for (let i = 0; i < runs; i++) {
    const begun = performance.now()
    told.sink(failed(`r${i}`))
    assert.ok(performance.now() - begun < AT_ONCE_MS, 'emit returns at once')
  }
}

test('a webhook gets the notification signed, and the signature is of the time and the raw body', async (t) => {
  const receiver = await Receiver.of(t)
  const secret = 'a-secret-of-sixteen'
  const sink = hook(receiver.url, { secret, headers: { Authorization: 'Bearer abc' } })
  const { told } = notifier([sink], t)
  told.sink({ type: 'run.started', at, run: 'r1', experiment: 'e', target: 't', endpoint: 'pg', seed: 's', soak_ms: 1 })
  told.sink(failed('r1'))
  await until(() => told.counts.delivered === 1, 'it is delivered')
  const { headers, body } = receiver.got[0]!
  const expected = createHmac('sha256', secret)
    .update(`${String(headers['x-chaos-timestamp'])}.${body}`)
    .digest('hex')
  assert.equal(headers['x-chaos-signature'], `sha256=${expected}`)
  assert.ok(Math.abs(Number(headers['x-chaos-timestamp']) - Date.now() / 1000) < 60)
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers.authorization, 'Bearer abc')
  assert.equal(headers['user-agent'], 'chaos-agents/1.2.3')
  const got = JSON.parse(body) as Notification
  assert.equal(headers['x-chaos-delivery'], got.id)
  assert.deepEqual(
    [got.format, got.kind, got.experiment, got.run, got.endpoint, got.at, got.host, got.install],
    [1, 'failed', 'nightly', 'r1', 'postgres://db:5432/shop', at, 'box', 'abc123'],
  )
})

test('a receiver gets only the kinds it asked for', async (t) => {
  const [all, some] = [await Receiver.of(t), await Receiver.of(t)]
  const { told } = notifier([hook(all.url), hook(some.url, { on: ['recovered'] })], t)
  told.sink(failed('r1'))
  told.sink(finished({ run: 'r2', recovered: true }))
  await until(() => told.counts.delivered === 3, 'all are delivered')
  assert.deepEqual([all.got.length, some.got.length], [2, 1])
})

const BROKEN: [string, Answer][] = [
  ['never answers', 'never'],
  ['answers 500', { status: 500 }],
  ['answers 429', { status: 429, headers: { 'retry-after': '1' } }],
]

for (const [name, answer] of BROKEN) {
  test(`a receiver that ${name} holds nobody up, and gets everything once when it is well again`, async (t) => {
    const receiver = await Receiver.of(t, answer)
    const { told, warnings } = notifier([hook(receiver.url)], t)
    emitTimed(told, 3)
    await until(() => receiver.got.length >= 2, 'it is tried again')
    assert.deepEqual(told.counts, { delivered: 0, failed: 0, dropped: 0, waiting: 3 })
    const before = receiver.got.length
    receiver.answer = { status: 200 }
    await until(() => told.counts.delivered === 3, 'everything is delivered')
    const runs = receiver.got.slice(before).map(({ body }) => (JSON.parse(body) as Notification).run)
    assert.deepEqual([...new Set(runs)], ['r0', 'r1', 'r2'], 'in order')
    assert.deepEqual(warnings, [])
  })
}

test('a receiver that is down holds nobody up, and gets everything when it is back', async (t) => {
  const receiver = await Receiver.of(t)
  await receiver.stop()
  const { told } = notifier([hook(receiver.url)], t)
  emitTimed(told, 300)
  await sleep(100)
  assert.equal(told.counts.delivered, 0)
  await receiver.start()
  await until(() => told.counts.delivered + told.counts.dropped === 300, 'everything is delivered')
  assert.deepEqual(told.counts, { delivered: 200, failed: 0, dropped: 100, waiting: 0 })
})

for (const answer of [{ status: 400 }, { status: 404 }, { status: 302, headers: { location: '/other' } }]) {
  test(`an answer of ${answer.status} is final: counted, told in one warning without the path, and not followed`, async (t) => {
    const receiver = await Receiver.of(t, answer)
    const { told, warnings } = notifier([hook(`${receiver.url}/T0/B0/hunter2`)], t)
    told.sink(failed('r1'))
    await until(() => told.counts.failed === 1, 'it is given up')
    assert.equal(receiver.got.length, 1)
    assert.equal(warnings.length, 1)
    assert.match(
      warnings[0] ?? '',
      new RegExp(`^not told to webhook http://127.*: failed of run r1 .*${answer.status}`),
    )
    assert.doesNotMatch(warnings[0] ?? '', /hunter2|\/hook/)
  })
}

test('a receiver that has said yes has it, although it breaks off or talks without an end', async (t) => {
  for (const answer of ['close', 'endless'] as const) {
    const receiver = await Receiver.of(t, answer)
    const { told } = notifier([hook(receiver.url)], t)
    emitTimed(told, 2)
    await until(() => told.counts.delivered === 2, `${answer}: it is delivered`)
    assert.equal(receiver.got.length, 2)
  }
})

test('a receiver that ends the connection before it answers is tried again', async (t) => {
  const { createServer } = await import('node:net')
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.on('error', () => undefined)
    if (connections < 3) socket.once('data', () => socket.write('HTTP/1.1 2') && socket.destroy())
    else socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  const { told } = notifier([hook(`http://127.0.0.1:${port}`)], t)
  told.sink(failed('r1'))
  await until(() => told.counts.delivered === 1, 'it is delivered')
  assert.equal(connections, 3)
})

test('one receiver that hangs does not keep the others from being told', async (t) => {
  const [stuck, well] = [await Receiver.of(t, 'never'), await Receiver.of(t)]
  const { told } = notifier([hook(stuck.url), hook(well.url)], t)
  emitTimed(told, 5)
  await until(() => well.got.length === 5, 'the other gets all')
})

test('other receivers after a reload: those that stay keep what waits, those that go get theirs', async (t) => {
  const [stays, goes, comes] = [await Receiver.of(t, { status: 500 }), await Receiver.of(t), await Receiver.of(t)]
  const { told } = notifier([hook(stays.url), hook(goes.url)], t)
  told.sink(failed('r1'))
  await until(() => goes.got.length === 1, 'the one that goes got it')
  told.use([hook(stays.url), hook(comes.url)])
  stays.answer = { status: 200 }
  told.sink(failed('r2'))
  await until(() => told.counts.delivered === 4, 'all are delivered')
  assert.deepEqual([goes.got.length, comes.got.length], [1, 1])
})

test('closing at the end returns in its time although the receiver never answers', async (t) => {
  const receiver = await Receiver.of(t, 'never')
  const { told, warnings } = notifier([hook(receiver.url)], t)
  emitTimed(told, 3)
  await told.close(1_000)
  assert.deepEqual(told.counts, { delivered: 0, failed: 0, dropped: 3, waiting: 0 })
  assert.equal(warnings.length, 3)
})

function script(t: TestContext, body: string): { path: string; dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'chaos-tell-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'tell')
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  return { path, dir }
}

const call = (path: string, ...args: string[]): NotifySink => ({ command: [path, ...args], on: ['failed', 'residue'] })

test('a command gets the notification on its standard input, its arguments as they are, and little of our environment', async (t) => {
  const { path, dir } = script(t, 'cat > "$1/got"; printf %s "$2" > "$1/arg"; env > "$1/env"')
  process.env['CHAOS_TEST_SECRET'] = 'hunter2'
  t.after(() => delete process.env['CHAOS_TEST_SECRET'])
  const { told } = notifier([call(path, dir, '$(id); two words')], t)
  told.sink(finished({ residue, exit_code: 4 }))
  await until(() => told.counts.delivered === 1, 'it is delivered')
  const got = JSON.parse(readFileSync(join(dir, 'got'), 'utf8')) as Notification
  assert.deepEqual([got.kind, got.severity, got.run], ['residue', 'critical', 'r1'])
  assert.equal(readFileSync(join(dir, 'arg'), 'utf8'), '$(id); two words')
  assert.doesNotMatch(readFileSync(join(dir, 'env'), 'utf8'), /hunter2/)
})

test('a command that hangs is ended after its time with everything it has started, and tried again', async (t) => {
  const { path, dir } = script(t, 'echo $$ >> "$1/pids"; sleep 300 & echo $! >> "$1/pids"; wait')
  const { told } = notifier([call(path, dir)], t)
  emitTimed(told, 1)
  const pids = (): number[] => {
    try {
      return readFileSync(join(dir, 'pids'), 'utf8').trim().split('\n').map(Number)
    } catch {
      return []
    }
  }
  await until(() => pids().length >= 4, 'it is tried again')
  const [first, child] = pids()
  await until(() => gone(first!) && gone(child!), 'both are ended')
  await told.close(0)
  await until(() => pids().every(gone), 'closing ends the rest')
})

function gone(pid: number): boolean {
  try {
    // A zombie waits for whoever reaps in this container: it has ended.
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}

test('a command that floods its outputs and never reads its input is delivered all the same', async (t) => {
  const { path } = script(t, 'exec 0<&-; head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2')
  const { told } = notifier([call(path)], t)
  emitTimed(told, 1)
  await until(() => told.counts.delivered === 1, 'it is delivered')
})

test('a command that leaves something behind in the background is done when it ends itself', async (t) => {
  const { path, dir } = script(t, 'sleep 20 & echo $! > "$1/pid"')
  const { told } = notifier([call(path, dir)], t)
  told.sink(failed('r1'))
  await until(() => told.counts.delivered === 1, 'it is delivered')
  process.kill(Number(readFileSync(join(dir, 'pid'), 'utf8')), 'SIGKILL')
})

test('a command that fails is tried again, and its last words are in the warning when it is given up', async (t) => {
  const { path } = script(t, 'echo no such channel >&2; exit 3')
  const { told, warnings } = notifier([call(path)], t)
  told.sink(failed('r1'))
  await until(() => told.counts.failed === 1, 'it is given up')
  assert.match(warnings[0] ?? '', /not told to command .*tell: .*exit code 3: no such channel, 8 times/)
})

test('a command that is not there, or may not be run, is given up at once', async (t) => {
  const { path, dir } = script(t, 'exit 0')
  writeFileSync(join(dir, 'plain'), 'no program')
  const { told, warnings } = notifier([call(`${path}-not`), call(join(dir, 'plain'))], t)
  told.sink(failed('r1'))
  await until(() => told.counts.failed === 2, 'both are given up')
  assert.match(warnings.join('\n'), /ENOENT[^]*EACCES/)
})
