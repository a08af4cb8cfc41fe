/** F6, F7: what a target says steers no terminal, forges no line, and stops no loop, in whatever way it is shown. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Chaos, signal } from '../e2e/chaos.ts'
import type { Exit } from '../e2e/chaos.ts'
import { HELLO, HostileApplication } from '../fakes/hostile-application.ts'

/** Clears the screen, sets a title, forges a line of ours, turns the direction, breaks lines in three more ways. */
const EVIL =
  'x\u001b[2J\u001b]0;owned\u0007\r\n14:00:00Z tools  completed: 1 of 1 steps undone, residue 0\u202e\u2028\u2029\u0085\u009b31m'

/** Nothing that a terminal would do, and no line that the application has made. */
function assertText(said: string, what: string): void {
  const own = said.replaceAll(/\u001b\[[0-9;]*m|\r\u001b\[2K/g, '')
  const found = /[^\n\t\P{C}]|[\u2028\u2029]/u.exec(own)
  assert.equal(found, null, `${what}: ${JSON.stringify(own.slice((found?.index ?? 0) - 50, (found?.index ?? 0) + 50))}`)
  assert.doesNotMatch(own, /^14:00:00Z/m, what)
}

async function ended(
  running: { exit: Promise<Exit>; child: { pid?: number | undefined } },
  ms: number,
): Promise<Exit | 'hangs'> {
  const timer = new AbortController()
  const late = sleep(ms, 'hangs' as const, { signal: timer.signal }).catch(() => 'hangs' as const)
  const exit = await Promise.race([running.exit, late])
  timer.abort()
  if (exit === 'hangs') signal(running.child.pid, 'SIGKILL')
  return exit
}

async function until(holds: () => boolean, ms: number): Promise<void> {
  for (const end = performance.now() + ms; !holds() && performance.now() < end;) await sleep(100)
}

describe('F7: an application with controls in all that it says', { timeout: 10 * 60_000 }, () => {
  const app = new HostileApplication()
  const chaos = new Chaos()
  let config: string
  let told: string
  before(async () => {
    await app.start()
    const command = join(chaos.dir, 'tell.sh')
    told = join(chaos.dir, 'told')
    writeFileSync(command, `#!/bin/sh\ncat >> ${told}\nprintf '%b' '\\033[2J\\r\\n14:00:00Z forged' >&2\nexit 1\n`)
    chmodSync(command, 0o755)
    config = chaos.config({
      settings: { notify: [{ command: [command], on: ['residue', 'failed', 'recovered', 'blocked', 'digest'] }] },
      experiments: [
        {
          experiment: {
            ...{ name: 'tools', target: 'application', target_config: app.config, duration: '1s' },
            skills: [{ skill_name: 'app.error', params: { lease: '1s', error_code: 503 } }],
          },
          schedule: '0 0 3 1 1 *',
        },
      ],
    })
    app.answers = { 'GET /v1/hello': { body: { ...HELLO, components: [{ name: EVIL, calls: 3 }] } } }
  })
  after(async () => {
    await app.stop()
    chaos.remove()
  })
  const check = async (...args: string[]): Promise<Exit> => {
    const exit = await chaos.run(args)
    assertText(exit.out, `${args[0] ?? ''}: stdout`)
    assertText(exit.err, `${args[0] ?? ''}: stderr`)
    return exit
  }

  test('names of components, in discover, a dry run and a run', async () => {
    const discovered = await check('discover', config)
    assert.match(discovered.out, /x\\u001b\[2J/)
    assert.match((await check('run', config, '--dry-run')).out, /x\\u001b\[2J/)
    assert.match((await check('run', config)).out, /completed|ineffective/)
    assert.match((await check('report', '--last')).out, /x\\u001b\[2J/)
    await check('digest')
    await check('sweep', config)
  })

  test('refusals, in a run, its report, status, recover and its page, digest, the daemon and what it tells a command', async () => {
    app.answers['POST /v1/end'] = { status: 409, body: { error: 'held', message: EVIL } }
    const ran = await check('run', config)
    assert.equal(ran.code, 4, ran.out + ran.err)
    assert.match(ran.out, /x\\u001b\[2J/)
    for (const args of [
      ['report', '--last'],
      ['report', '--list'],
      ['status'],
      ['recover'],
      ['recover', '--dry-run'],
      ['digest'],
    ])
      await check(...args)
    const daemon = chaos.start(['daemon', config, '--pretty'])
    await until(() => existsSync(told), 60_000)
    await check('status')
    await check('digest')
    await sleep(1_000)
    signal(daemon.child.pid, 'SIGTERM')
    const exit = await ended(daemon, 120_000)
    assert.ok(exit !== 'hangs')
    assertText(exit.out, 'daemon: stdout')
    assertText(exit.err, 'daemon: stderr')
    assert.match(exit.out, /not told to .*forged/, 'the words of the command are shown')
    const [first = ''] = readFileSync(told, 'utf8').split('\n')
    const { text, title } = JSON.parse(first) as { text: string; title: string }
    assertText(title + text, 'what a command is told')
    assert.match(text, /x\\u001b\[2J/)
  })
})

describe('F6: a server whose error is 400 kB long', { timeout: 10 * 60_000 }, () => {
  for (const [what, piece] of [
    ['dots', '.'],
    ['spaces', ' '],
    ['brackets', '=('],
    ['quotes', '\'"'],
  ] as const) {
    test(`of ${what}, with somebody to be notified: SIGTERM is obeyed`, async () => {
      const chaos = new Chaos()
      const server = await lying(piece.repeat(400_000 / piece.length) + 'x')
      const { port } = server.address() as AddressInfo
      try {
        const experiment = {
          ...{ name: 'db', target: 'database', duration: '1s', skills: [{ skill_name: 'db.insert_load' }] },
          target_config: { connection_url: `postgresql://u:pw@127.0.0.1:${port}/staging`, db_type: 'postgres' },
        }
        const file = chaos.config({
          settings: { notify: [{ command: ['/bin/true'] }] },
          experiments: [{ experiment, schedule: '* * * * * *' }],
        })
        const daemon = chaos.start(['daemon', file, '--json'])
        const over = await Promise.race([
          daemon.until((event) => event.type === 'run.finished'),
          sleep(120_000, undefined, { ref: false }),
        ])
        assert.ok(over?.type === 'run.finished', 'a run has failed')
        assert.ok((over.report.reason ?? '').length < 25_000, `${over.report.reason?.length}`)
        signal(daemon.child.pid, 'SIGTERM')
        const exit = await ended(daemon, 30_000)
        assert.ok(exit !== 'hangs', 'SIGTERM is not obeyed')
      } finally {
        server.close()
        chaos.remove()
      }
    })
  }
})

/** Answers every login with a fatal error. */
async function lying(message: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      // A request for TLS comes first.
      if (bytes.length === 8) return void socket.write('N')
      const fields = Buffer.from(`SFATAL\0VFATAL\0C28000\0M${message}\0\0`)
      const head = Buffer.alloc(5)
      head.write('E')
      head.writeInt32BE(fields.length + 4, 1)
      socket.end(Buffer.concat([head, fields]))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
