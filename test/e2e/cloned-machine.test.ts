/** A machine that was cloned with a run in progress has the same host name, the same state folder and the same sockets. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Exit } from './chaos.ts'
import { MAIN } from './chaos.ts'
import { Shops, soaking } from './shops.ts'

const noClone =
  process.getuid?.() !== 0
    ? 'needs root to mount another machine id'
    : !existsSync('/etc/machine-id') && 'this machine has no machine id'

const shops = new Shops()
const { chaos } = shops
after(() => shops.end())

test(
  'the fault of an application is not undone from a clone with another machine id, and is from the machine itself',
  { skip: noClone, timeout: 5 * 60_000 },
  async () => {
    const shop = await shops.start('one')
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    shops.signalAll(run, 'SIGKILL')
    await run.exit
    const cloned = await onClone(['recover'])
    assert.equal(cloned.code, 4, cloned.out + cloned.err)
    assert.match(cloned.out + cloned.err, /is not the system that run \S+ changed: machine_id differ/)
    assert.equal(readdirSync(join(chaos.state, 'journal')).length, 1)
    const recovered = await chaos.run(['recover'])
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    await shops.assertNothingLeft()
    await shop.healthy()
  },
)

/** The command where the machine id is another one, and all else is as here. */
async function onClone(args: readonly string[]): Promise<Exit> {
  const id = join(chaos.dir, 'machine-id')
  writeFileSync(id, `${'5'.repeat(32)}\n`)
  const script = 'mount --bind "$0" /etc/machine-id && exec "$@"'
  const child = spawn('unshare', ['--mount', 'sh', '-c', script, id, process.execPath, MAIN, ...args], {
    env: { ...process.env, CHAOS_STATE_DIR: chaos.state },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 2 * 60_000,
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const code = await new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(signal ?? code ?? -1)),
  )
  return { code, out, err }
}
