import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const IMPORT = `import { test, describe } from 'node:test'\n`

test('passed, failed and skipped tests are counted, skips with their reason, and suites are not', (t) => {
  const { last, said, status } = runTests(t, {
    'a.test.ts': `${IMPORT}
      describe('suite', () => { test('passes', () => {}); test('fails', () => { throw new Error('oh') }) })
      test('is skipped', { skip: 'no lab' }, () => {})
      test('is to be done', { todo: true }, () => { throw new Error('not yet') })`,
  })
  assert.equal(last, '1 passed, 1 failed, 2 skipped')
  assert.equal(status, 1)
  assert.ok(said.includes('skipped: is skipped (no lab)'))
  assert.ok(said.includes('skipped: is to be done (todo)'))
  assert.ok(said.includes('failed: test/a.test.ts: fails'))
})

test('tests that all pass, or are skipped, are a success', (t) => {
  const files = { 'a.test.ts': `${IMPORT} test('a', () => {}); test('b', (t) => t.skip('later'))` }
  assert.deepEqual(pick(runTests(t, files)), { last: '1 passed, 0 failed, 1 skipped', status: 0 })
})

for (const [how, text] of [
  ['is killed', `${IMPORT} test('a', () => {}); process.on('exit', () => process.kill(process.pid, 'SIGKILL'))`],
  ['cannot be read', `import './not-there.ts'`],
  ['has no tests', ''],
  ['ends well before its first result', `${IMPORT} test('a', () => process.exit(0))`],
  [
    'ends well between two tests',
    `${IMPORT} test('a', () => {})
     test('b', async () => { await new Promise((r) => setTimeout(r, 500)); process.exit(0) })`,
  ],
] as const) {
  test(`a file that ${how} is a failure`, (t) => {
    const { last, status } = runTests(t, { 'a.test.ts': text, 'b.test.ts': `${IMPORT} test('b', () => {})` })
    assert.match(last, /^[12] passed, 1 failed, 0 skipped$/)
    assert.equal(status, 1)
  })
}

test('a run in which nothing ran is a failure', (t) => {
  assert.deepEqual(pick(runTests(t, {})), { last: '0 passed, 0 failed, 0 skipped', status: 1 })
})

test('--fast leaves out the slow folders and files, and a part of a path all other files', (t) => {
  const pass = `${IMPORT} test('a', () => {})`
  const names = ['a', 'core/a', 'e2e/a', 'crash/a', 'labs/a', 'skills/a', 'core/b.slow', 'targets/skills/a']
  const files = Object.fromEntries(names.map((name) => [`${name}.test.ts`, pass]))
  assert.equal(runTests(t, files).last, '8 passed, 0 failed, 0 skipped')
  assert.equal(runTests(t, files, '--fast').last, '3 passed, 0 failed, 0 skipped')
  assert.equal(runTests(t, files, 'core/', 'labs/a.test').last, '3 passed, 0 failed, 0 skipped')
})

test('--expect-skips accepts exactly the skips it lists', (t) => {
  const expect = (...list: string[]) => {
    const files = {
      'a.test.ts': `${IMPORT} test('a', { skip: 'no lab' }, () => {}); test('b', () => {})`,
      'skips.json': JSON.stringify(list.map((name) => ({ test: name, reason: 'no lab' }))),
    }
    return runTests(t, files, '--expect-skips', 'test/skips.json')
  }
  assert.equal(expect('a').status, 0)
  const [none, more] = [expect(), expect('a', 'b')]
  assert.deepEqual([none.status, more.status], [1, 1])
  assert.ok(none.said.includes('failed: skipped, which was not expected: a (no lab)'))
  assert.ok(more.said.includes('failed: not skipped, although expected: b (no lab)'))
})

/** Runs test/run.ts in a project with these files below test/. */
function runTests(t: TestContext, files: Record<string, string>, ...options: string[]) {
  const project = mkdtempSync(join(tmpdir(), 'run-test-'))
  t.after(() => rmSync(project, { recursive: true, force: true }))
  mkdirSync(join(project, 'test'))
  cpSync(join(ROOT, 'test/run.ts'), join(project, 'test/run.ts'))
  for (const folder of ['node_modules', 'scripts']) symlinkSync(join(ROOT, folder), join(project, folder))
  writeFileSync(join(project, 'package.json'), '{"type": "module"}')
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(project, 'test', name)), { recursive: true })
    writeFileSync(join(project, 'test', name), text)
  }
  const done = spawnSync(process.execPath, ['--import', './scripts/ts.mjs', 'test/run.ts', ...options], {
    cwd: project,
    // Set, it would make the inner node:test believe that it is one of our own files.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    encoding: 'utf8',
  })
  const said = done.stdout.trimEnd().split('\n')
  return { last: said.at(-1) ?? '', said, status: done.status }
}

function pick({ last, status }: { last: string; status: number | null }) {
  return { last, status }
}
