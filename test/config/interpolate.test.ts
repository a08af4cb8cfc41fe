import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { interpolate } from '../../src/config/interpolate.ts'
import { loadConfig } from '../../src/config/load.ts'
import { fakeDatabase } from '../fakes/config-target.ts'
import { load, one, problemsOf } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'chaos-interpolate-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const fill = (text: string, env: NodeJS.ProcessEnv = {}) => interpolate(text, { env, folder })
const firstParams = async (params: string, env: NodeJS.ProcessEnv) =>
  (await load(one({ params, skill: 'db.config_change' }), { env })).experiments[0]?.experiment.skills[0]?.params

test('variables, defaults and escapes are filled in; other dollars stay', () => {
  assert.equal(fill('a${A}b${B:-x}c', { A: '1', B: '2' }).text, 'a1b2c')
  assert.equal(fill('${A:-x:-y}${B:-}', { B: '' }).text, 'x:-y')
  assert.equal(fill('${A}', { A: '' }).text, '')
  assert.equal(fill('$${A} $A $ {A} $$', { A: '1' }).text, '${A} $A $ {A} $$')
})

test('what is filled in is not filled in again', () => {
  assert.equal(fill('${A}', { A: '${B}', B: 'no' }).text, '${B}')
})

test('a file gives its text without the last line end, relative to the configuration or to the home folder', async () => {
  writeFileSync(join(folder, 'pw'), 'line 1\nline 2\r\n')
  assert.equal(fill('${file:pw}').text, 'line 1\nline 2')
  assert.equal(fill('${file:~/pw}', { HOME: folder }).text, 'line 1\nline 2')
  assert.equal(fill(`\${file:${folder}/pw}`).text, 'line 1\nline 2')
  writeFileSync(join(folder, 'url'), 'postgres://u@localhost/shop\n')
  writeFileSync(join(folder, 'c.yaml'), one({ url: '${file:url}' }))
  const { experiments } = await loadConfig(join(folder, 'c.yaml'), { targets: [fakeDatabase()], env: {} })
  assert.equal(
    (experiments[0]?.experiment.target_config as { connection_url: string }).connection_url,
    'postgres://u@localhost/shop',
  )
})

test('the path of a file may begin with a variable, as services get their credentials', () => {
  writeFileSync(join(folder, 'credential'), 'secret\n')
  const env = { CREDENTIALS_DIRECTORY: folder }
  assert.equal(fill('a:${file:$CREDENTIALS_DIRECTORY/credential}@b', env).text, 'a:secret@b')
  assert.deepEqual(fill('${file:$CREDENTIALS_DIRECTORY/credential}', env).expressions, [
    '${file:$CREDENTIALS_DIRECTORY/credential}',
  ])
  assert.match(
    fill('${file:$CREDENTIALS_DIRECTORY/credential}').problems.join(),
    /^\$\{file:.*the environment variable CREDENTIALS_DIRECTORY is not set$/,
  )
  // Only at the beginning, and what it holds is not filled in again.
  assert.match(fill('${file:x/$A/y}', { A: 'b' }).problems.join(), /there is no file .*x\/\$A\/y/)
  assert.match(fill('${file:$A/y}', { A: '~' }).problems.join(), /there is no file .*\/~\/y/)
})

test('what cannot be filled in is said, with the way out', () => {
  assert.match(fill('${A}').problems.join(), /A is not set: set it, or write \$\{A:-default\}/)
  assert.match(fill('${file:nope}').problems.join(), /there is no file .*nope/)
  assert.match(fill('${file:.}').problems.join(), /is not a file/)
  assert.match(fill('${file:}').problems.join(), /names no file/)
  assert.match(fill('${A-b}').problems.join(), /is not one of \$\{VAR\}, \$\{VAR:-default\}, \$\{file:path\}/)
  assert.match(fill('${}').problems.join(), /is not one of/)
  assert.match(fill('${A:-${B}}').problems.join(), /may not hold another/)
  assert.match(fill('x${A').problems.join(), /without its "}"/)
})

test('a plain value becomes a number or true or false, a quoted one stays text', async () => {
  const env = { N: '12', B: 'true', T: '4MB', E: '1e999' }
  const changes = (value: string) => `{changes: [{param: a, value: ${value}}]}`
  const value = async (text: string) =>
    ((await firstParams(changes(text), env)) as { changes: { value: unknown }[] }).changes[0]?.value
  assert.equal(await value('"${N}"'), '12')
  assert.equal(await value('!!str "${N}"'), '12')
  const plain = (text: string) =>
    load(
      one({ skill: 'db.config_change' }).replace(
        'params: {}}]',
        `\n      params:\n        changes:\n          - param: a\n            value: ${text}\n    }]`,
      ),
      { env },
    )
  await assert.rejects(plain('${N}')) // inside [ ] and { } the braces of an expression need quotes
  const block = async (text: string) => {
    const { experiments } = await load(
      one().replace(
        / {4}skills:.*\n/,
        `    skills:\n      - skill_name: db.config_change\n        params:\n          changes:\n            - param: a\n              value: ${text}\n`,
      ),
      { env },
    )
    return (experiments[0]?.experiment.skills[0]?.params as { changes: { value: unknown }[] }).changes[0]?.value
  }
  assert.equal(await block('${N}'), 12)
  assert.equal(await block('${N}.5'), 12.5)
  assert.equal(await block('${B}'), true)
  assert.equal(await block('${T}'), '4MB')
  assert.equal(await block('${E}'), '1e999')
  assert.equal(await block("'${N}'"), '12')
  assert.equal(await block('!!str ${N}'), '12')
  assert.equal(await block('|-\n                ${N}'), '12')
})

test('a variable that is not set is reported at its scalar, each one, besides everything else', async () => {
  const problems = await problemsOf(one({ url: 'postgres://${U}:${P}@h/d', more: 'duration: 5' }))
  assert.deepEqual(
    problems.map((p) => [p.line, p.column, p.path]),
    [
      [4, 37, 'experiments[0].target_config.connection_url'],
      [4, 37, 'experiments[0].target_config.connection_url'],
      [6, 15, 'experiments[0].duration'],
    ],
  )
  assert.match(problems[0]?.message ?? '', /variable U /)
  assert.match(problems[1]?.message ?? '', /variable P /)
})

test('a key is not filled in, and that is said', async () => {
  const [problem] = await problemsOf(one({ more: '"${X}": 1' }))
  assert.match(problem?.message ?? '', /in values, not in keys/)
})
