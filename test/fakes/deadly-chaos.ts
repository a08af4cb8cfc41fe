/**
 * The real command over a target in a file, `deadly-chaos.ts ARGS`: things with values in `world` in the temporary folder,
 * which workers are told too, and an undo of `b` that kills its worker for as long as `world.deadly` is there. Every try stands
 * in `world.log`.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../../src/cli/program.ts'
import { fakeTarget, FakeWorld } from './agent.ts'

const file = join(tmpdir(), 'world')
const values = (): Record<string, string> => JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>

const world = new FakeWorld(existsSync(file) ? values() : undefined)
for (const key of world.values.keys()) {
  for (const call of ['apply', 'revert']) {
    world.on(`${call} ${key}`, async ({ go }) => {
      appendFileSync(`${file}.log`, `${call} ${key}\n`)
      if (call === 'revert' && key === 'b' && existsSync(`${file}.deadly`)) {
        process.kill(process.pid, 'SIGKILL')
        // Not one step further, should the signal need a moment.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      }
      await go()
      writeFileSync(file, JSON.stringify(world.state))
    })
  }
}

process.exit(
  await runProgram(process.argv.slice(2), {
    targets: () => Promise.resolve([fakeTarget(world)]),
    main: fileURLToPath(import.meta.url),
    version: '0.0.0',
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    tty: false,
  }),
)
