/** The daemon as a background process: pid files, --detach, chaos stop, and many starts at once. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isAlive } from '../../src/supervisor/lock.ts'
import { endWith, stranger } from '../supervisor/helpers.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { Chaos, signal } from './chaos.ts'

/** Longer than that of other tests: ten processes start at once, and stopping may wait for an undo. */
async function until(holds: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(otherwise)
    await sleep(20)
  }
}

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

describe('the daemon in the background', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let chaos: Chaos
  let pidFile: string

  before(async () => {
    server = await startPostgres()
    await server.sql('create table things (id serial primary key, label text)')
  })
  after(() => server.stop())
  beforeEach(() => {
    chaos = new Chaos()
    pidFile = join(chaos.dir, 'chaos.pid')
  })
  afterEach(async () => {
    signal(chaos.holder()?.pid, 'SIGTERM')
    await until(async () => !(await daemonIsUp()), 'the daemon does not end')
    chaos.remove()
  })

  const daemonIsUp = async (): Promise<boolean> => {
    const holder = chaos.holder()
    return holder !== undefined && (await isAlive(holder))
  }
  const config = (schedule = '0 0 2 29 2 *'): string =>
    chaos.config({
      experiments: [
        {
          name: 'often',
          target: 'database',
          target_config: { connection_url: server.url() },
          skills: [{ skill_name: 'db.insert_load', params: { tables: ['things'], rows_per_table: 50 } }],
          duration: '60s',
          schedule,
        },
      ],
    })

  test('of ten starts at once on one state folder one is the daemon, and nine end with 75 and name it', async () => {
    const file = config()
    const starts = Array.from({ length: 10 }, () => chaos.start(['daemon', file, '--json']))
    const ready = starts.map((start) =>
      start
        .until((e) => e.type === 'daemon.ready')
        .then(
          () => start,
          () => undefined,
        ),
    )
    const daemon = await Promise.any(ready.map(async (one) => (await one) ?? Promise.reject(new Error('not ready'))))
    const others = await Promise.all(starts.filter((start) => start !== daemon).map((start) => start.exit))
    for (const { code, err } of others) {
      assert.equal(code, 75, err)
      assert.match(err, new RegExp(`${chaos.state} is in use by chaos daemon \\(pid ${daemon.child.pid}, since`))
    }
    daemon.child.kill('SIGTERM')
    assert.equal((await daemon.exit).code, 0)
  })

  test('of ten starts at once with one pid file one is the daemon, and the file is its own to the end', async () => {
    const file = config()
    writeFileSync(pidFile, '4194999\n')
    const starts = Array.from({ length: 10 }, () => chaos.start(['daemon', file, '--json', '--pid-file', pidFile]))
    const ends = starts.map((start) => start.exit)
    const others = starts.map(async (start, i) => ({ start, exit: await ends[i]! }))
    let over = 0
    for (const other of others) void other.then(() => (over += 1))
    await until(() => over === 9, 'nine do not end')
    const daemon = starts.find((start) => start.child.exitCode === null)!
    assert.equal(readFileSync(pidFile, 'utf8'), `${daemon.child.pid}\n`)
    daemon.child.kill('SIGTERM')
    for (const { start, exit } of await Promise.all(others))
      assert.equal(exit.code, start === daemon ? 0 : 75, exit.err)
    assert.equal(existsSync(pidFile), false)
  })

  test('--detach returns when it is ready, with the daemon in a session of its own; stop ends it, undone', async () => {
    const fresh = await snapshot(server.url())
    const logFile = join(chaos.dir, 'log')
    const args = ['daemon', config('* * * * * *'), '--detach', '--pid-file', pidFile, '--log-file', logFile]
    const { code, out, err } = await chaos.run(args)
    assert.equal(code, 0, err)
    const pid = Number(/^chaos daemon is ready \(pid (\d+)\)\n$/.exec(out)?.[1])
    assert.equal(readFileSync(pidFile, 'utf8'), `${pid}\n`)
    assert.equal(chaos.holder()?.pid, pid)
    const [, , , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '0 0 ')
      .split(' ')
    assert.equal(session, String(pid))
    assert.equal(statSync(logFile).mode & 0o777, 0o600)
    await until(() => readFileSync(logFile, 'utf8').includes('"phase":"soak"'), 'no soak')
    assert.equal((await chaos.run(['daemon', config(), '--detach'])).code, 75)
    // S16: moved away for rotation, it is opened anew, and the configuration is read anew.
    renameSync(logFile, `${logFile}.1`)
    process.kill(pid, 'SIGHUP')
    await until(() => existsSync(logFile) && readFileSync(logFile, 'utf8').includes('daemon.reloaded'), 'no new log')
    assert.equal(statSync(logFile).mode & 0o777, 0o600)
    const stopped = await chaos.run(['stop', '--pid-file', pidFile])
    assert.equal(stopped.code, 0, stopped.out + stopped.err)
    assert.match(stopped.out, new RegExp(`^stopped chaos daemon \\(pid ${pid}\\) in .*\\nnothing is left to undo\\n$`))
    assert.deepEqual(diff(fresh, await snapshot(server.url())), [])
    assert.deepEqual([existsSync(pidFile), await isAlive({ pid, start_time: '' })], [false, false])
    assert.match(readFileSync(logFile, 'utf8'), /daemon\.stopped/)
    assert.equal((await chaos.run(['stop'])).code, 1)
  })

  test('--detach through an installed command and a relative configuration works from any folder', () => {
    const bin = join(chaos.dir, 'chaos')
    symlinkSync(MAIN, bin)
    const options = { cwd: chaos.dir, env: { ...process.env, CHAOS_STATE_DIR: 'state' }, encoding: 'utf8' } as const
    const name = config().slice(chaos.dir.length + 1)
    const started = spawnSync(bin, ['daemon', name, '--detach', '--pid-file', 'chaos.pid', '--json'], options)
    assert.equal(started.status, 0, started.stderr)
    const { pid, pid_file } = JSON.parse(started.stdout) as { pid: number; pid_file: string }
    assert.deepEqual([pid, pid_file], [Number(readFileSync(pidFile, 'utf8')), pidFile])
    const stopped = spawnSync(bin, ['stop', '--pid-file', 'chaos.pid', '--json'], options)
    assert.equal(stopped.status, 0, stopped.stderr)
    assert.equal((JSON.parse(stopped.stdout) as { stopped: number }).stopped, pid)
  })

  test('--detach prints the error of a daemon that does not become ready, and ends with its exit code', async () => {
    const bad = await chaos.run(['daemon', chaos.config('experiments: 1\n'), '--detach'])
    assert.deepEqual([bad.code, /config-1\.yaml:1:/.test(bad.err)], [2, true], bad.err)
    const daemon = chaos.start(['daemon', config(), '--json'])
    await daemon.until((e) => e.type === 'daemon.ready')
    const locked = await chaos.run(['daemon', config(), '--detach'])
    assert.equal(locked.code, 75)
    assert.match(locked.err, new RegExp(`pid ${daemon.child.pid}`))
    const log = await chaos.run(['daemon', config(), '--detach', '--log-file', '/proc/nothing/log'])
    assert.deepEqual([log.code, /--log-file: .*cannot be written/.test(log.err)], [2, true], log.err)
    daemon.child.kill('SIGTERM')
    await daemon.exit
  })

  test('a pid file that cannot be used ends with 2 before anything else is touched', async () => {
    const linked = join(chaos.dir, 'link.pid')
    symlinkSync('/etc/hostname', linked)
    mkdirSync(join(chaos.dir, 'folder.pid'))
    const unwritable = '/proc/self/fdinfo/chaos.pid'
    for (const file of [linked, join(chaos.dir, 'no/chaos.pid'), join(chaos.dir, 'folder.pid'), unwritable, MAIN])
      for (const more of [[], ['--detach']]) {
        const { code, err } = await chaos.run(['daemon', config(), '--pid-file', file, ...more])
        assert.equal(code, 2, err)
        assert.ok(err.includes('--pid-file') && err.includes(file), err)
      }
    assert.equal(existsSync(chaos.state), false)
  })

  test('stop leaves strangers alone, whatever a pid file or a note of an earlier boot says', async (t: TestContext) => {
    const pid = stranger(t)
    writeFileSync(pidFile, `${pid}\n`)
    const first = await chaos.run(['stop', '--pid-file', pidFile])
    assert.deepEqual([first.code, /another program by now; it is left alone/.test(first.out)], [1, true], first.out)
    mkdirSync(chaos.state)
    const note = { pid, start_time: '', command: 'daemon', started_at: '2026-01-02T03:04:05.000Z', workers: [] }
    writeFileSync(join(chaos.state, 'daemon.json'), JSON.stringify(note))
    const second = await chaos.run(['stop'])
    assert.deepEqual([second.code, /is left alone/.test(second.out)], [1, true], second.out)
    assert.ok(await isAlive({ pid, start_time: '' }))
    writeFileSync(pidFile, 'root\n')
    assert.equal((await chaos.run(['stop', '--pid-file', pidFile])).code, 2)
    assert.equal((await chaos.run(['stop', '--timeout', '5'])).code, 2)
  })

  test('stop says when something is not undone, with 4; and does not kill what takes longer than its patience', async (t) => {
    const daemon = chaos.start(['daemon', config('* * * * * *'), '--json'])
    await daemon.until((e) => e.type === 'run.phase' && e.phase === 'soak')
    endWith(t, daemon.child.pid!)
    server.kill9()
    const impatient = await chaos.run(['stop', '--timeout', '500ms'])
    assert.deepEqual([impatient.code, /it is not killed/.test(impatient.out)], [4, true], impatient.out)
    assert.ok(await daemonIsUp())
    const patient = await chaos.run(['stop', '--timeout', '3m'])
    assert.deepEqual([patient.code, /^stopped chaos daemon .*\nnot undone: /.test(patient.out)], [4, true], patient.out)
    assert.equal((await daemon.exit).code, 4)
    await server.restart()
    const journals = readdirSync(join(chaos.state, 'journal')).filter((name) => name.endsWith('.jsonl'))
    assert.equal(journals.length, 1)
    assert.equal((await chaos.run(['recover'])).code, 0)
    assert.deepEqual(await server.sql('select count(*)::int as n from things'), [{ n: 0 }])
  })
})
