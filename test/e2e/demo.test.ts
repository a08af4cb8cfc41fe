import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { isAlive, type HolderNote } from '../../src/supervisor/lock.ts'

test('the demo ends by itself after its cycles, with exit code 0 and without differences', async (t) => {
  const demo = await startDemo(t, '--cycles', '2')
  assert.equal(await demo.exit, 0, demo.output())
  assert.match(demo.output(), /^[2-9] completed runs(,|$)/m)
  assert.match(demo.output(), /^0 differences$/m)
  assert.deepEqual(await demo.files(), [])
})

test('Ctrl-C in the middle of a soak rolls back, proves it, and is no failure', async (t) => {
  const demo = await startDemo(t)
  await demo.says(/soak \ds/)
  demo.kill('SIGINT')
  assert.equal(await demo.exit, 0, demo.output())
  assert.match(demo.output(), /undone: /)
  assert.match(demo.output(), /aborted: .* residue 0/)
  assert.match(demo.output(), /^0 differences$/m)
  assert.deepEqual(await demo.files(), [])
})

test('with --kill it shows what a killed daemon leaves, and that the next one undoes it', async (t) => {
  const demo = await startDemo(t, '--kill')
  assert.equal(await demo.exit, 0, demo.output())
  assert.match(demo.output(), /left on the database: [1-9]\d* differences/)
  assert.match(demo.output(), /recovered: \d clean/)
  assert.match(demo.output(), /^0 differences$/m)
  assert.deepEqual(await demo.files(), [])
})

test('Ctrl-C while the restarted daemon has only begun to recover does not cut the recovery short', async (t) => {
  const demo = await startDemo(t, '--kill', '--cycles', '9')
  await demo.says(/started again/)
  demo.kill('SIGINT')
  assert.equal(await demo.exit, 0, demo.output())
  assert.match(demo.output(), /recovered: \d clean/)
  assert.match(demo.output(), /^0 differences$/m)
})

test('what somebody else than the application has changed is a difference, and a failure', async (t) => {
  const demo = await startDemo(t)
  await demo.says(/soak \ds/)
  const client = new pg.Client({ connectionString: await urlOf(demo.folder) })
  await client.connect()
  await client.query(
    'update order_items set quantity = quantity + 1 where order_id = (select min(order_id::text)::uuid from order_items)',
  )
  await client.end()
  demo.kill('SIGINT')
  assert.equal(await demo.exit, 1, demo.output())
  assert.match(demo.output(), /order_items: row .* changed: quantity/)
  assert.match(demo.output(), /^2 differences$/m)
})

test('a demo that is killed leaves no daemon, no worker, no server and no folder', async (t) => {
  const demo = await startDemo(t)
  await demo.says(/soak \ds/)
  const [state = ''] = (await demo.files()).filter((name) => name.startsWith('chaos-demo-'))
  const daemon = JSON.parse(await readFile(join(demo.folder, state, 'daemon.json'), 'utf8')) as HolderNote
  const processes = [daemon, ...daemon.workers]
  assert.ok(processes.length > 1)
  demo.kill('SIGKILL')
  const left = async () => [
    ...(await demo.files()),
    ...(await Promise.all(processes.map(async (p) => ((await isAlive(p)) ? [`process ${p.pid}`] : [])))).flat(),
  ]
  for (let i = 0; i < 600 && (await left()).length > 0; i++) await sleep(50)
  assert.deepEqual(await left(), [])
})

test('what is wrong with its options is said before anything is started', async (t) => {
  for (const args of [['--cycles', '0'], ['--cycles', 'three'], ['--fast']]) {
    const demo = await startDemo(t, ...args)
    assert.equal(await demo.exit, 2)
    assert.match(demo.output(), /npm run demo -- \[--cycles N\]/)
  }
})

/** Of the demo's database: the state folder keeps it for as long as a run is open. */
async function urlOf(folder: string): Promise<string> {
  const [secret = ''] = (await readdir(folder, { recursive: true })).filter((name) => /\/secrets\/[^/]+$/.test(name))
  return (JSON.parse(await readFile(join(folder, secret), 'utf8')) as { connection_url: string }).connection_url
}

/** All it puts into the folder for temporary files is in `folder`. */
async function startDemo(t: TestContext, ...args: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
  // The server may run as another user.
  await chmod(folder, 0o711)
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const child = spawn(process.execPath, ['--import', './scripts/ts.mjs', 'scripts/demo.ts', ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(async () => {
    child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  let output = ''
  let heard = (): void => undefined
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      heard()
    })
  const exit = once(child, 'close').then(([code]) => code as number | null)
  return {
    folder,
    /** What it has put there. */
    files: () => readdir(folder),
    exit,
    output: () => output,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    async says(pattern: RegExp) {
      const said = new Promise<void>((resolve) => {
        heard = () => {
          if (pattern.test(output)) resolve()
        }
      })
      await Promise.race([said, exit.then((code) => assert.fail(`ended with ${code}\n${output}`))])
    },
  }
}
