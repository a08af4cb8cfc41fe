/** The examples of docs/architecture.md are as true as the code: put into a copy of the source, they pass all that a skill must. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startPostgres } from './labs/embedded-postgres.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const COPIED = [
  'src',
  'test',
  'scripts',
  'package.json',
  'tsconfig.json',
  'tsconfig.check.json',
  'eslint.config.js',
  '.prettierrc.json',
]
const REGISTRY = 'src/targets/database/index.ts'
const LIST = /^const kinds: .* = \[(.*)\]$/m

describe('the examples of architecture.md', { timeout: 15 * 60_000 }, () => {
  const examples = examplesIn(readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8'))
  const paths = examples.map(({ path }) => path)
  const skills = examples.flatMap(({ path, code }) => {
    const name = /^ {2}name: '(db\.\w+)'/m.exec(code)?.[1]
    const value = /^export const (\w+): DatabaseSkill/m.exec(code)?.[1]
    return name && value ? [{ name, value, path }] : []
  })
  let copy: string

  before(() => {
    copy = mkdtempSync(join(tmpdir(), 'chaos-examples-'))
    for (const name of COPIED) cpSync(join(ROOT, name), join(copy, name), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
    for (const { path, code } of examples) {
      mkdirSync(dirname(join(copy, path)), { recursive: true })
      writeFileSync(join(copy, path), code)
    }
    writeFileSync(join(copy, REGISTRY), withSkills(readFileSync(join(copy, REGISTRY), 'utf8')))
    // What they need of all else comes with them.
    const config = { extends: './tsconfig.check.json', include: [...paths, REGISTRY] }
    writeFileSync(join(copy, 'tsconfig.examples.json'), JSON.stringify(config))
  })
  after(() => rmSync(copy, { recursive: true, force: true }))

  /** One file, one line: nothing else is touched. */
  function withSkills(registry: string): string {
    const imports = skills.map(({ value, path }) => `import { ${value} } from './skills/${path.split('/').at(-1)}'\n`)
    const [line = '', listed = ''] = LIST.exec(registry) ?? []
    const all = line.replace(listed, [listed, ...skills.map(({ value }) => value)].join(', '))
    return registry.replace(line, all).replace(/^import /m, `${imports.join('')}import `)
  }

  test('are two skills, each with its test', () => {
    assert.deepEqual(
      skills.map(({ name }) => name),
      ['db.idle_transaction', 'db.write_block'],
    )
    assert.deepEqual(paths, [
      ...['src/targets/database/skills/idle_transaction.ts', 'test/skills/idle_transaction.test.ts'],
      ...['src/targets/database/skills/write_block.ts', 'test/skills/write_block.test.ts'],
    ])
  })

  test('are right by type, linter and format', async () => {
    await passes(copy, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.examples.json')
    await passes(copy, 'node_modules/eslint/bin/eslint.js', ...paths)
    await passes(copy, 'node_modules/prettier/bin/prettier.cjs', '--check', ...paths)
  })

  test('keep the contract', async (t) => {
    for (const path of paths.filter((path) => path.endsWith('.test.ts'))) {
      const out = await passes(copy, '--import', './scripts/ts.mjs', '--test', '--test-reporter=tap', path)
      const [, passed] = /^# pass (\d+)$/m.exec(out) ?? []
      t.diagnostic(`${path}: ${passed} passed`)
      assert.ok(Number(passed) > 15, out)
    }
  })

  test('run, and are undone', async () => {
    const server = await startPostgres()
    try {
      await server.sql(
        'create table accounts (id int primary key); insert into accounts select generate_series(1, 100)',
      )
      for (const { name } of skills) {
        const experiment = { target: 'database', target_config: { connection_url: server.url() } }
        const experiments = [{ name: 'example', ...experiment, skills: [{ skill_name: name }], duration: '1s' }]
        writeFileSync(join(copy, 'chaos.json'), JSON.stringify({ experiments }))
        const run = ['src/main.ts', 'run', 'chaos.json', '--state-dir', join(copy, 'state')]
        const out = await passes(copy, '--import', './scripts/ts.mjs', ...run)
        assert.match(out, new RegExp(`▲ ${name} [^]*completed: 1 of 1 step undone, residue 0`))
      }
    } finally {
      await server.stop()
    }
  })
})

/** Blocks of TypeScript, each with the path that is named last before it. */
function examplesIn(page: string): { path: string; code: string }[] {
  return [...page.matchAll(/^```ts\n([^]*?)^```$/gm)].map(({ 1: code = '', index }) => {
    const named = [...page.slice(0, index).matchAll(/`((?:src|test)\/[\w/.]+\.ts)`/g)]
    return { path: named.at(-1)?.[1] ?? '', code }
  })
}

/** What it has said on stdout; fails with all that it has said when it does not end well. */
async function passes(cwd: string, ...args: string[]): Promise<string> {
  const env: NodeJS.ProcessEnv = { ...process.env }
  // Of the runner that this test runs in: a runner of its own would only report to that one.
  delete env['NODE_TEST_CONTEXT']
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise((resolve) => child.on('close', resolve))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  assert.equal(await ended, 0, out + err)
  return out
}
