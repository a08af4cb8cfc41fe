/** `chaos mcp-proxy` when the server dies, when the client dies, and when somebody sends what does not fit: nobody is left behind. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { alive, connect, FAKE_SERVER, proxyCommand, RawClient, REAL_SERVER } from './mcp.ts'

const proxied = (options: string[] = [], serverArgs: string[] = []): RawClient =>
  new RawClient(proxyCommand(options, [...FAKE_SERVER, ...serverArgs]))

/** The server's pid, as itself says. */
async function pidOf(client: RawClient): Promise<number> {
  client.call(1, 'pid')
  return Number((await client.next()).result?.content[0]?.text)
}

const childrenOf = (pid: number): number[] =>
  execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
    .map(Number)

async function gone(pid: number, ms = 10_000): Promise<void> {
  const end = Date.now() + ms
  while (alive(pid)) {
    assert.ok(Date.now() < end, `process ${pid} is still there`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('the death of the server', () => {
  test('with a code: every open request is answered with a JSON-RPC error, delayed ones too, and the code is the proxy’s', async () => {
    const client = proxied(['--fault', 'latency,duration_ms=60000', '--tool', 'echo'])
    client.call(1, 'never')
    client.call(2, 'echo')
    client.call(3, 'die', { code: 7 })
    const answers = [await client.next(), await client.next(), await client.next()]
    assert.deepEqual(answers.map(({ id }) => id).sort(), [1, 2, 3])
    for (const { error } of answers)
      assert.deepEqual(error, { code: -32000, message: 'Connection closed: the MCP server has ended (exit code 7)' })
    assert.equal(await client.exit, 7)
  })

  test('by a signal: the proxy exits with 128 and its number', async () => {
    const client = proxied()
    client.call(1, 'die', { signal: 'SIGKILL' })
    assert.match((await client.next()).error?.message ?? '', /SIGKILL/)
    assert.equal(await client.exit, 137)
  })

  test('of the real one: a call of the real client that is open rejects, and the proxy is gone', async () => {
    const { client, pid } = await connect(proxyCommand([], REAL_SERVER))
    const [server] = childrenOf(pid)
    const call = client.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 60, steps: 2 } })
    setTimeout(() => process.kill(server!, 'SIGKILL'), 300)
    await assert.rejects(call, /Connection closed/)
    await gone(pid)
    await client.close()
  })

  test('that never was one: the command that cannot be started is named, with exit code 2', async () => {
    const client = new RawClient(proxyCommand([], ['no-such-command']))
    assert.equal(await client.exit, 2)
    assert.match(client.err, /cannot start "no-such-command": .*ENOENT/)
  })
})

describe('the death of the client', () => {
  test('by kill -9 in the middle of a delayed call: proxy and server are gone', async () => {
    // The client is itself a process, whose pipes the system closes.
    const script = `
      const { spawn } = require('node:child_process')
      const child = spawn(process.argv[1], process.argv.slice(2), { stdio: ['pipe', 'pipe', 'ignore'] })
      child.stdout.on('data', (b) => process.stdout.write(child.pid + ' ' + JSON.parse(b).result.content[0].text + '\\n'))
      child.stdin.write('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pid"}}\\n')
      child.stdin.write('{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}\\n')`
    const proxy = proxyCommand(['--fault', 'latency,duration_ms=60000', '--tool', 'echo'], FAKE_SERVER)
    const client = new RawClient([process.execPath, '-e', script, '--', ...proxy])
    const line = await client.lines.next()
    const [proxyPid, serverPid] = String(line.value).split(' ').map(Number)
    assert.ok(alive(proxyPid!) && alive(serverPid!))
    client.child.kill('SIGKILL')
    assert.equal(await client.exit, 'SIGKILL')
    await gone(serverPid!)
    await gone(proxyPid!)
  })

  test('by closing its end: the server sees the end of stdin, and its exit code is the proxy’s', async () => {
    const client = proxied()
    const server = await pidOf(client)
    client.child.stdin.end()
    assert.equal(await client.exit, 0)
    assert.ok(!alive(server))
  })

  test('of its reading end only: the server is ended too', async () => {
    const client = proxied()
    const server = await pidOf(client)
    client.child.stdout.destroy()
    client.call(2, 'echo')
    client.call(3, 'echo')
    await client.exit
    await gone(server)
  })

  test('with a server that ignores the end of stdin and SIGTERM: it is killed within seconds, and that is said', async () => {
    const client = proxied([], ['--stubborn'])
    const server = await pidOf(client)
    client.child.stdin.end()
    assert.equal(await client.exit, 137)
    assert.ok(!alive(server))
    assert.match(client.err, /SIGTERM is ignored/)
    assert.match(client.err, /it was killed/)
  })

  test('by SIGTERM to the proxy: the server is ended, and a launcher’s child with it', async () => {
    const launcher = ['sh', '-c', `'${FAKE_SERVER.join("' '")}' --stubborn; true`]
    const client = new RawClient(proxyCommand([], launcher))
    const server = await pidOf(client)
    client.child.kill('SIGTERM')
    await client.exit
    await gone(server)
  })
})

describe('what passes the proxy', () => {
  test('a cancelled call that waits never reaches the server, nor does its cancellation, and it is not answered', async () => {
    const client = proxied(['--fault', 'latency,duration_ms=60000', '--tool', 'echo'])
    client.call(1, 'echo')
    client.call(2, 'never')
    for (const requestId of [1, 2]) client.send({ method: 'notifications/cancelled', params: { requestId } })
    client.call(3, 'pid')
    assert.equal((await client.next()).id, 3)
    await client.until('got tools/call 3')
    assert.deepEqual(client.err.match(/got .*/g), [
      'got tools/call 2',
      'got notifications/cancelled 2',
      'got tools/call 3',
    ])
    client.child.stdin.end()
    await client.exit
  })

  test('a cancelled call that has reached the server gives its slot back', async () => {
    const client = proxied(['--fault', 'resource_exhaustion,mode=hold_slots,slots=1', '--tool', 'never'])
    client.call(1, 'never')
    client.call(2, 'never')
    assert.match((await client.next()).result?.content[0]?.text ?? '', /all 1 slots are taken/)
    client.send({ method: 'notifications/cancelled', params: { requestId: 1 } })
    client.call(3, 'never')
    client.call(4, 'never')
    assert.equal((await client.next()).id, 4)
    client.child.stdin.end()
    await client.exit
  })

  test('what is no JSON-RPC, a batch, and a last line without newline reach the server as they are', async () => {
    const client = new RawClient(proxyCommand(['--fault', 'error,error_code=500'], ['cat']))
    const text = 'not json\r\n\n[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}]\n{"half":'
    client.child.stdin.end(text)
    let out = ''
    for (let step = await client.lines.next(); step.done !== true; step = await client.lines.next())
      out += `${step.value}\n`
    assert.equal(out, `${text.replace('\r', '')}\n`)
    assert.equal(await client.exit, 0)
  })

  test('a message above the limit ends the session with an error that says what to do', async () => {
    const client = proxied(['--max-message-bytes', '2048'])
    const server = await pidOf(client)
    client.call(2, 'never')
    client.call(3, 'echo', { text: 'x'.repeat(5000) })
    const { id, error } = await client.next()
    assert.equal(id, 2)
    assert.match(error?.message ?? '', /larger than 2048 bytes.*--max-message-bytes/)
    assert.equal(await client.exit, 1)
    assert.match(client.err, /from the client: a message is larger than 2048 bytes/)
    await gone(server)
  })

  test('the seed and what is in place are said on stderr, and mistakes in options with what to write', async () => {
    const client = proxied(['--fault', 'latency,duration_ms=5', '--seed', 'abc'])
    client.child.stdin.end()
    await client.exit
    assert.match(client.err, /chaos mcp-proxy: latency in calls of every tool, seed abc\n/)
    for (const [fault, message] of [
      ['slowness', /fault_type/],
      ['latency', /latency needs duration_ms/],
      ['error,error_code', /"error_code" has no value/],
      ['error,colour=5', /[Uu]nrecognized key.*colour/],
    ] as const) {
      const wrong = proxied(['--fault', fault])
      wrong.child.stdin.end()
      assert.equal(await wrong.exit, 2)
      assert.match(wrong.err, message)
    }
  })
})
