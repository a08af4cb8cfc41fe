/** What a skill of the registry needs besides its file and its line: whoever adds one is told everything that is missing, and what to do. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { targets } from '../src/targets/index.ts'
import { goldenName } from './golden/name.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const inFolder = (path: string): string[] => readdirSync(join(ROOT, path)).map((name) => `${path}/${name}`)

test('every skill has its file, its contract, its golden journal and its place in the documents', () => {
  assert.deepEqual(
    targets.flatMap((target) => target.skills.flatMap(({ name, version }) => missing(target.name, name, version))),
    [],
  )
})

test('what a new skill lacks is named, each with what to do', () => {
  const all = missing('database', 'db.new_fault').join('\n')
  for (const what of [/skills\/new_fault\.ts/, /skillContract/, /golden\/make\.ts/, /README\.md/, /docs\/database\.md/])
    assert.match(all, what)
})

function missing(target: string, name: string, version = 1): string[] {
  const file = `skills/${name.slice(name.indexOf('.') + 1)}.ts`
  const contracts = inFolder('test/skills')
    .map(read)
    .filter((text) => text.includes('skillContract('))
  const golden = inFolder('test/golden')
    .filter((path) => /\/format-\d+$/.test(path))
    .map((path) => join(ROOT, path, `${goldenName({ name, version })}.jsonl`))
  const needs: [there: boolean, todo: string][] = [
    [existsSync(join(ROOT, 'src/targets', target, file)), `write it in src/targets/${target}/${file}`],
    [
      contracts.some((text) => text.includes(`/${target}/${file}`)),
      `write a test in test/skills that calls skillContract() with it`,
    ],
    [
      golden.some((path) => existsSync(path)),
      `give it params in test/golden/make.ts, where its defaults are not enough, and run node --import ./scripts/ts.mjs test/golden/make.ts`,
    ],
    [read('README.md').includes(`\`${name}\``), 'add a row for it to the table of README.md'],
    [read('docs/configuration.md').includes(`\`${name}\``), 'add its parameters to the table of docs/configuration.md'],
    [
      read(`docs/${target}.md`).includes(target === 'database' ? `## ${name}` : name.slice('app.'.length)),
      `tell what it does in docs/${target}.md`,
    ],
  ]
  return needs.filter(([there]) => !there).map(([, todo]) => `${name}: ${todo}`)
}
