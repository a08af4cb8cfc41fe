/** F11, F17: what a command writes for a person, and where: no command of a journal's, no file behind a link. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { writeByHand } from '../../src/cli/recover/by-hand.ts'
import type { Context } from '../../src/cli/context.ts'
import { init } from '../../src/cli/init/init.ts'
import { openLog } from '../../src/cli/daemon/log-file.ts'
import { pageLines, recoverCommand } from '../../src/cli/recover/page.ts'
import { openForAppending } from '../../src/core/append-file.ts'
import type { StuckRun } from '../../src/engine/stuck.ts'
import { fakeDatabase } from '../fakes/config-target.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function contextOf(): { context: Context; said: () => string } {
  let text = ''
  const context: Context = {
    targets: () => Promise.resolve([fakeDatabase()]),
    ...{ main: '', version: '', env: {}, tty: false },
    out: (more) => void (text += more),
    err: (more) => void (text += more),
  }
  return { context, said: () => text }
}

/** Everything that a journal says of a run, forged by whoever can write the file. */
function forged(command: string): StuckRun {
  const evil = `x\n${command}\n#\r${command}\u2028\u001b[2J`
  return {
    ...{ run: `x;${command};`, experiment: evil, endpoint: evil, identity: { [evil]: evil }, journal: evil },
    steps: [
      {
        ...{ step: 1, skill: evil, resource: evil, describe: evil, since: evil, error: evil, failed_at: evil },
        ...{ quarantined: false, by_hand: { lines: ['true'], holdsValues: false } },
      },
    ],
  }
}

test('F11: a forged journal puts no command into the script of --by-hand', async (t) => {
  const folder = folderOf(t)
  const [touched, script] = [join(folder, 'touched'), join(folder, 'undo.sh')]
  await writeByHand(contextOf().context, script, forged(`touch ${touched}`), undefined)
  const { status, stderr } = spawnSync('sh', ['-e', script], { encoding: 'utf8', timeout: 30_000 })
  assert.deepEqual([status, stderr, existsSync(touched)], [0, '', false], readFileSync(script, 'utf8'))
})

test('F11: the page shows a forged journal as text, and its commands can be pasted', (t) => {
  const folder = folderOf(t)
  const touched = join(folder, 'touched')
  const lines = pageLines(forged(`touch ${touched}`), undefined)
  assert.doesNotMatch(lines.join(''), /[\p{Cc}\u2028]/u)
  assert.ok(!lines.some((line) => line.startsWith('touch')))
  const pasted = recoverCommand(`x;touch ${touched};`, undefined).replace(/^chaos/, 'true')
  spawnSync('sh', ['-c', pasted], { timeout: 30_000 })
  assert.equal(existsSync(touched), false, pasted)
})

test('F17: a log is not written through a link, and one that is there loses what others may do with it', (t) => {
  const folder = folderOf(t)
  const [precious, link, log] = [join(folder, 'precious'), join(folder, 'link'), join(folder, 'log')]
  writeFileSync(precious, 'ours')
  symlinkSync(precious, link)
  assert.throws(() => openLog(link), /link is a symbolic link, which is not followed: name the file itself/)
  assert.throws(() => openForAppending(link), { code: 'ELOOP' })
  assert.equal(readFileSync(precious, 'utf8'), 'ours')
  writeFileSync(log, 'before\n')
  chmodSync(log, 0o666)
  const fd = openLog(log)
  writeSync(fd, 'after\n')
  closeSync(fd)
  assert.deepEqual([readFileSync(log, 'utf8'), statSync(log).mode & 0o777], ['before\nafter\n', 0o640])
  closeSync(openLog(join(folder, 'new')))
  assert.equal(statSync(join(folder, 'new')).mode & 0o777, 0o600)
})

test('F17: a log may go to the output of the process, and into no FIFO that nobody reads', (t) => {
  const module = new URL('../../src/core/append-file.ts', import.meta.url).href
  const script = `import { openForAppending as open } from '${module}'; import { writeSync } from 'node:fs'; writeSync(open('/dev/stdout'), 'said')`
  // Through a pipe of a shell: what this process gives its children are sockets, which nobody can open.
  const { stdout } = spawnSync(
    'sh',
    ['-c', '"$0" --import ./scripts/ts.mjs --input-type=module -e "$1" | cat', process.execPath, script],
    { encoding: 'utf8', timeout: 60_000 },
  )
  assert.equal(stdout, 'said')
  const fifo = join(folderOf(t), 'fifo')
  spawnSync('mkfifo', [fifo])
  assert.throws(() => openLog(fifo), /cannot be written/)
})

test('F17: init says that a password in its URL is seen in the list of processes, and does not show it', async (t) => {
  const output = join(folderOf(t), 'chaos.yaml')
  for (const [url, warns] of [
    ['fake://u:hunter2@127.0.0.1:1/x', true],
    ['postgres://u@127.0.0.1/x?password=hunter2', true],
    ['fake://u:${NO_SUCH}@127.0.0.1:1/x', false],
    ['fake://u@127.0.0.1:1/x', false],
  ] as const) {
    const { context, said } = contextOf()
    await init(context, url, { output, schedule: '0 0 2 * * *', allow: [] }).catch(() => 0)
    assert.equal(/warning: the password of that URL stands in the list of processes/.test(said()), warns, url)
    assert.doesNotMatch(said(), /hunter2/)
  }
})
