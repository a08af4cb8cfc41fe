/** `chaos mcp-proxy` when one side writes and the other does not read: memory stays bounded, and no byte is lost. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { proxyCommand } from './mcp.ts'

const MIB = 2 ** 20
const FLOOD_BYTES = 200 * MIB
/** A bare Node with what the proxy loads has about 65. */
const MOST_RSS_BYTES = 200 * MIB
const onlyLinux = { skip: process.platform === 'linux' ? false : 'reads /proc' }

type Proxy = ChildProcessByStdio<Writable, Readable, Readable> & { exit: Promise<number | NodeJS.Signals | null> }

/** Faults that are there and do not fire. Nobody reads its output until asked. */
function proxied(server: readonly string[]): Proxy {
  const fault = ['--fault', 'error,error_code=500,probability=0']
  const [command = '', ...args] = proxyCommand(fault, [...server])
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => undefined)
  const exit = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  )
  return Object.assign(child, { exit })
}

/** The most memory that the process ever had. */
function peakBytes({ pid }: Proxy): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

async function countOf(stream: Readable): Promise<number> {
  let bytes = 0
  for await (const chunk of stream) bytes += (chunk as Buffer).length
  return bytes
}

/** Writes for as long as somebody takes it; what it has written so far. */
function flood(proxy: Proxy): { sent: () => number } {
  const line = Buffer.from(`{"x":"${'y'.repeat(65_000)}"}\n`)
  let sent = 0
  const go = async (): Promise<void> => {
    for (; sent < FLOOD_BYTES; sent += line.length)
      if (!proxy.stdin.write(line)) await Promise.race([once(proxy.stdin, 'drain'), proxy.exit])
    proxy.stdin.end()
  }
  void go().catch(() => undefined)
  return { sent: () => sent }
}

describe('a side that does not read', () => {
  test(
    'the client: 200 MB of the server wait in the server, and come whole when they are read',
    onlyLinux,
    async (t) => {
      const proxy = proxied(['sh', '-c', `yes ${'x'.repeat(65_000)} | head -c ${FLOOD_BYTES}`])
      await sleep(3000)
      const waiting = peakBytes(proxy)
      assert.equal(await countOf(proxy.stdout), FLOOD_BYTES)
      assert.equal(await proxy.exit, 0)
      t.diagnostic(`peak ${Math.round(waiting / MIB)} MiB`)
      assert.ok(waiting < MOST_RSS_BYTES, `${waiting} bytes`)
    },
  )

  test(
    'the server: 200 MB of the client wait in the client, and come whole when they are read',
    onlyLinux,
    async (t) => {
      const proxy = proxied(['sh', '-c', 'sleep 3; exec cat'])
      const { sent } = flood(proxy)
      await sleep(2500)
      const [waiting, taken] = [peakBytes(proxy), sent()]
      const bytes = await countOf(proxy.stdout)
      assert.equal(bytes, sent())
      assert.equal(await proxy.exit, 0)
      t.diagnostic(`peak ${Math.round(waiting / MIB)} MiB, ${Math.round(taken / MIB)} MiB taken`)
      assert.ok(taken < FLOOD_BYTES / 2, `${taken} bytes were taken`)
      assert.ok(waiting < MOST_RSS_BYTES, `${waiting} bytes`)
    },
  )

  for (const [name, bytes] of Object.entries({ 'nothing of it': 0, 'less than the proxy may read ahead': 2 * MIB }))
    test(`a server that never reads, when the client closes its end with ${name} read: both are gone within seconds`, async () => {
      const proxy = proxied(['sleep', '600'])
      proxy.stdout.resume()
      proxy.stdin.end(Buffer.from(`${'x'.repeat(1000)}\n`.repeat(bytes / 1000 + 100)))
      // Its stdin, then SIGTERM.
      assert.equal(await Promise.race([proxy.exit, sleep(20_000, 'still there', { ref: false })]), 143)
    })

  test('a server that never reads a flood ends with the proxy at SIGTERM', async () => {
    const proxy = proxied(['sleep', '600'])
    await once(proxy.stderr, 'data')
    const { sent } = flood(proxy)
    await sleep(1000)
    assert.ok(sent() < FLOOD_BYTES)
    proxy.kill('SIGTERM')
    assert.equal(await Promise.race([proxy.exit, sleep(20_000, 'still there', { ref: false })]), 143)
  })

  test('the client, when the server has written its last words and ended: they wait until they are read', async () => {
    const words = `process.stdout.write(('x'.repeat(999) + '\\n').repeat(300), () => process.exit(3))`
    const proxy = proxied([process.execPath, '-e', words])
    // Longer than anybody would wait for a server that has ended.
    await sleep(4000)
    assert.equal(await countOf(proxy.stdout), 300_000)
    assert.equal(await proxy.exit, 3)
  })

  test('the client, when it is SIGTERM that ends the proxy: nobody waits for it', async () => {
    const proxy = proxied(['sh', '-c', `yes ${'x'.repeat(65_000)}`])
    await once(proxy.stderr, 'data')
    await sleep(1000)
    proxy.kill('SIGTERM')
    assert.equal(await Promise.race([proxy.exit, sleep(20_000, 'still there', { ref: false })]), 'SIGTERM')
  })
})

test('a line of the server above the limit ends the session with an error, after what came before it', async () => {
  const [command = '', ...args] = proxyCommand(
    ['--max-message-bytes', '2000'],
    ['sh', '-c', `echo first; yes ${'x'.repeat(1000)} | tr -d '\\n'`],
  )
  const proxy = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  proxy.stdout.on('data', (bytes) => (out += String(bytes)))
  proxy.stderr.on('data', (bytes) => (err += String(bytes)))
  const [code] = (await once(proxy, 'close')) as [number]
  assert.equal(code, 1)
  assert.equal(out, 'first\n')
  assert.match(err, /from the MCP server: a message is larger than 2000 bytes.*--max-message-bytes/)
})
