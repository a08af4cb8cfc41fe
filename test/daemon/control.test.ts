/** The control socket against clients that are slow, wrong or gone. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CodedError, ConfigError } from '../../src/core/errors.ts'
import { askDaemon } from '../../src/daemon/control/client.ts'
import type { Request } from '../../src/daemon/control/messages.ts'
import { controlPaths, serveControl, serveControlIn } from '../../src/daemon/control/server.ts'
import { folder, lock } from '../supervisor/helpers.ts'

async function served(t: TestContext, handle: (request: Request) => Promise<unknown>): Promise<string> {
  const dir = folder(t)
  const held = await lock(dir)
  const server = await serveControl(join(dir, 'control.sock'), handle)
  await held.setControl(server.path)
  t.after(async () => {
    await server.close()
    await held.release()
  })
  return dir
}

/** Where it is tried first. */
async function controlPath(stateDir: string, install: string, env: NodeJS.ProcessEnv): Promise<string> {
  for await (const path of controlPaths({ stateDir, install, env })) return path
  return assert.fail('no place at all')
}

/** What comes back for these bytes until the other side closes. */
function say(path: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    let out = ''
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.end(text))
    socket.on('data', (chunk: string) => (out += chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve(out))
  })
}

test('a request is answered, an error keeps its code, and a mistake in a configuration all its places', async (t) => {
  const problem = { file: 'c.yaml', line: 3, column: 5, path: 'x', message: 'is wrong' }
  const dir = await served(t, ({ op }) => {
    if (op === 'reload') return Promise.reject(new ConfigError([problem]))
    if (op === 'unfreeze') return Promise.reject(new CodedError('REFUSED_FROZEN', 'no'))
    return Promise.resolve({ op })
  })
  assert.deepEqual(await askDaemon(dir, { op: 'status' }), { op: 'status' })
  await assert.rejects(askDaemon(dir, { op: 'unfreeze' }), { code: 'REFUSED_FROZEN', message: 'no' })
  await assert.rejects(askDaemon(dir, { op: 'reload' }), { code: 'CONFIG_INVALID', problems: [problem] })
})

test('its path can be opened by its owner only', async (t) => {
  const dir = await served(t, () => Promise.resolve(0))
  assert.equal(statSync(join(dir, 'control.sock')).mode & 0o777, 0o600)
})

test('clients that say nonsense, half a line or too much are answered or dropped, and others are served meanwhile', async (t) => {
  const dir = await served(t, () => Promise.resolve('fine'))
  const path = join(dir, 'control.sock')
  const silent = connect(path)
  silent.on('error', () => undefined)
  assert.match(await say(path, 'nonsense\n'), /"ok":false/)
  assert.match(await say(path, '{"op": "sta'), /ended before its line did/)
  assert.match(await say(path, 'x'.repeat(2 ** 20 + 1)).catch(() => 'too long'), /too long/)
  assert.equal(await askDaemon(dir, { op: 'status' }), 'fine')
  silent.destroy()
})

test('a client that goes away while it waits harms nobody', async (t) => {
  let finish = (): void => undefined
  const dir = await served(t, ({ op }) =>
    op === 'unfreeze' ? new Promise<void>((resolve) => (finish = resolve)) : Promise.resolve('fine'),
  )
  const socket = connect(join(dir, 'control.sock'), () => socket.write('{"op":"unfreeze"}\n'))
  await sleep(100)
  socket.destroy()
  finish()
  assert.equal(await askDaemon(dir, { op: 'status' }), 'fine')
})

test('what an earlier daemon left at its path is replaced, and a daemon that is gone is none', async (t) => {
  const dir = folder(t)
  await assert.rejects(askDaemon(dir, { op: 'status' }), { code: 'NO_DAEMON' })
  writeFileSync(join(dir, 'control.sock'), 'left')
  const held = await lock(dir)
  const server = await serveControl(join(dir, 'control.sock'), () => Promise.resolve('fine'))
  await held.setControl(server.path)
  assert.equal(await askDaemon(dir, { op: 'status' }), 'fine')
  await server.close()
  await assert.rejects(askDaemon(dir, { op: 'status' }), { code: 'NO_DAEMON', message: /does not answer/ })
  await held.release()
})

test('where it cannot listen it takes the next place, says so, and leaves what is in the way', async (t) => {
  const dir = folder(t)
  mkdirSync(join(dir, 'chaos-abcdef.sock'))
  const env = { RUNTIME_DIRECTORY: join(dir, 'not-there'), XDG_RUNTIME_DIR: dir }
  const warnings: string[] = []
  const places = { stateDir: dir, install: 'abcdef', env }
  const server = await serveControlIn(
    places,
    () => Promise.resolve('fine'),
    (message) => warnings.push(message),
  )
  t.after(() => server.close())
  assert.equal(server.path, join(dir, 'control.sock'))
  assert.match(warnings.join('\n'), /not-there\/control\.sock.*it listens on .*\n.*chaos-abcdef\.sock.*is a directory/i)
  assert.match(await say(server.path, '{"op":"status"}\n'), /fine/)
  assert.ok(statSync(join(dir, 'chaos-abcdef.sock')).isDirectory())
})

test('where the path of the state folder is too long for a socket it lies elsewhere, in a folder of its own', async (t) => {
  const long = join(folder(t), 'x'.repeat(100))
  mkdirSync(long)
  const path = await controlPath(long, 'abcdef', {})
  t.after(() => rmSync(dirname(path), { recursive: true, force: true }))
  assert.equal(await controlPath(long, 'abcdef', {}), path)
  chmodSync(dirname(path), 0o755)
  const other = await controlPath(long, 'abcdef', {})
  t.after(() => rmSync(dirname(other), { recursive: true, force: true }))
  assert.notEqual(other, path, 'a folder that others can read is used')
  assert.ok(Buffer.byteLength(path) <= 100)
  assert.ok(!path.startsWith(long))
  assert.equal(await controlPath('/state', 'abcdef', {}), '/state/control.sock')
  assert.equal(
    await controlPath('/state', 'abcdef', { XDG_RUNTIME_DIR: '/run/user/7' }),
    '/run/user/7/chaos-abcdef.sock',
  )
  assert.equal(await controlPath('/state', 'abcdef', { RUNTIME_DIRECTORY: '/run/chaos' }), '/run/chaos/control.sock')
})

test('S2: a peer that takes the connection and says nothing, or drips, is not waited for without end', async (t) => {
  const dir = folder(t)
  const held = await lock(dir)
  t.after(() => held.release())
  for (const byte of ['', ' ', '{']) {
    const path = join(dir, `peer-${byte.length}-${byte.charCodeAt(0)}.sock`)
    const dripping = new Set<ReturnType<typeof setInterval>>()
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy()).resume()
      if (byte !== '') dripping.add(setInterval(() => socket.write(byte), 20))
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    await held.setControl(path)
    await assert.rejects(askDaemon(dir, { op: 'freeze', reason: 'x' }, { timeoutMs: 500 }), {
      code: 'NO_ANSWER',
      message: /nobody answers.*Nothing was done, and nothing of this request will be/,
    })
    dripping.forEach((drip) => clearInterval(drip))
    await new Promise((resolve) => server.close(resolve))
  }
})

test('S2: what its client gave up before it was taken is not carried out', async (t) => {
  const done: string[] = []
  const dir = await served(t, ({ op }) => {
    done.push(op)
    return Promise.resolve('fine')
  })
  const path = join(dir, 'control.sock')
  // It has gone before it could say that it still wants it.
  assert.equal(await say(path, '{"op":"freeze","reason":"x","confirm":true}\n'), '{"accepted":true}\n')
  assert.equal(await askDaemon(dir, { op: 'status' }), 'fine')
  assert.deepEqual(done, ['status'])
})

test('S2: an answer may take longer than silence may, as long as its work goes on', async (t) => {
  const dir = await served(t, () => sleep(3_000, 'at last'))
  assert.equal(await askDaemon(dir, { op: 'freeze', reason: 'x' }, { timeoutMs: 2_900 }), 'at last')
})
