/** The harness is attacked too: bugs that would break the promise are put into a copy of the source, and must be found. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MUTATIONS } from './mutations.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
let copy: string

before(() => {
  copy = mkdtempSync(join(tmpdir(), 'chaos-mutations-'))
  for (const name of ['src', 'test', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.cjs.json'])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
})
after(() => rmSync(copy, { recursive: true, force: true }))

test(
  'every one of fifteen deliberate bugs is found by the test that is there for it',
  { timeout: 20 * 60_000 },
  async (t) => {
    const found: string[] = []
    for (const { bug, file, changes, caughtBy } of MUTATIONS) {
      const path = join(copy, file)
      const right = readFileSync(path, 'utf8')
      let wrong = right
      for (const [from, to] of changes) {
        assert.equal(wrong.split(from).length, 2, `${bug}: ${file} must have this once: ${from}`)
        wrong = wrong.replace(from, () => to)
      }
      // Without the bug it passes: what fails then is found, and not just broken.
      assert.deepEqual(await result(...caughtBy), { passed: 1, failed: 0 }, `${caughtBy.join(': ')} without the bug`)
      writeFileSync(path, wrong)
      const { passed, failed } = await result(...caughtBy)
      writeFileSync(path, right)
      if (passed === 0 && failed === 1) found.push(bug)
      else t.diagnostic(`not found: ${bug} (${passed} passed, ${failed} failed)`)
    }
    t.diagnostic(`${found.length} of ${MUTATIONS.length}`)
    assert.equal(found.length, MUTATIONS.length)
  },
)

/** Of the one test with that title: others of the file are left out. */
async function result(file: string, title: string): Promise<{ passed: number; failed: number }> {
  const pattern = title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const env: NodeJS.ProcessEnv = { ...process.env }
  // Of the runner that this test runs in: a runner of its own would only report to that one.
  delete env['NODE_TEST_CONTEXT']
  const args = ['--import', './scripts/ts.mjs', '--test', '--test-reporter=tap', `--test-name-pattern=${pattern}`, file]
  const child = spawn(process.execPath, args, { cwd: copy, env, stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  await new Promise((resolve) => child.on('close', resolve))
  const lines = out.split('\n').filter((line) => line.includes(title) && !line.includes('# SKIP'))
  const count = (start: RegExp): number => lines.filter((line) => start.test(line)).length
  return { passed: count(/^\s*ok /), failed: count(/^\s*not ok /) }
}
