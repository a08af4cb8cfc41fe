/** The example of docs/application.md, run as a reader runs it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('the experiment finds the retry storm of the example agent, and passes with the fix', () => {
  const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { scripts: { example: string } }
  const [, ...args] = scripts.example.split(' && ').at(-1)!.split(' ')
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  const [before, after] = stdout.trim().split('\n')
  assert.match(before ?? '', /10 of 10 answered, \d+\.\d calls .*: FAILED$/)
  assert.ok(Number(/, ([\d.]+) calls/.exec(before ?? '')?.[1]) > 10, 'it is a storm')
  assert.match(after ?? '', /10 of 10 answered, 3\.0 calls .*: passed$/)
})
