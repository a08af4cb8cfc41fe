/** S8, S13, S17: secrets as they are in URLs, what is not there yet, and pieces that several experiments share. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { interpolate } from '../../src/config/interpolate.ts'
import { listSkills } from '../../src/cli/list-skills.ts'
import { targets } from '../../src/targets/index.ts'
import { load, one, problemsOf } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'chaos-shared-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const fill = (text: string, env: NodeJS.ProcessEnv = {}) => interpolate(text, { env, folder })
const said = async (text: string, env = {}): Promise<string> =>
  (await problemsOf(text, { env, targets })).map((p) => `${p.line}: ${p.message}`).join('; ')

test('S8: what fills the user or the password of a URL is taken as it is, and encoded', () => {
  writeFileSync(join(folder, 'pw'), 'a%40b/c d\n')
  const env = { U: 'me@home', UP: 'u:p:w@', HOST: 'db/x' }
  assert.equal(fill('postgres://${U}:${file:pw}@h/d', env).text, 'postgres://me%40home:a%2540b%2Fc%20d@h/d')
  assert.equal(fill('postgres://x${U}:a${file:pw}@h/d', env).text, 'postgres://xme%40home:aa%2540b%2Fc%20d@h/d')
  assert.equal(fill('postgres://${UP}@h/d', env).text, 'postgres://u:p%3Aw%40@h/d')
  assert.equal(fill('postgres://u@${HOST}?password=${U}', env).text, 'postgres://u@db/x?password=me@home')
  assert.equal(fill('${U}', env).text, 'me@home')
})

test('S8: an empty secret is an error, wherever it comes from', async () => {
  writeFileSync(join(folder, 'empty'), '\n')
  assert.match(fill('postgres://u:${file:empty}@h/d').problems.join(), /^\$\{file:empty\}: .* is empty$/)
  assert.match(fill('${file:empty}').problems.join(), /is empty$/)
  assert.match(fill('postgres://u:${P}@h/d', { P: '' }).problems.join(), /^\$\{P\} is empty/)
  const text = one().replace(
    '{connection_url: "postgres://u@localhost/shop"}',
    '{host: h, database: d, password: "${P}"}',
  )
  assert.match(await said(text, { P: '' }), /^4: is empty/)
})

test('S8: a password of digits from a variable stays a text', async () => {
  const text = one().replace(
    '{connection_url: "postgres://u@localhost/shop"}',
    '\n      host: h\n      database: d\n      password: ${P}',
  )
  const { experiments } = await load(text, { env: { P: '0123' }, targets })
  assert.equal((experiments[0]?.experiment.target_config as { password: string }).password, '0123')
})

test('S13: what the roadmap has and this version has not is not called unknown', async () => {
  for (const skill of [
    'db.select_load',
    'db.row_lock',
    'db.connection_flood',
    'db.deadlock',
    'k8s.pod_kill',
    'server.disk_fill',
  ]) {
    const message = await said(one({ skill }))
    assert.match(message, /is on the roadmap, but not available in this version/, skill)
    assert.doesNotMatch(message, /unknown|did you mean|remove/, skill)
  }
  for (const target of ['kubernetes', 'server', 'mysql'])
    assert.match(
      await said(one().replace('target: database', `target: ${target}`)),
      /is on the roadmap, but not available/,
    )
  for (const key of ['llm: {provider: anthropic}', 'mcp_servers: []', 'max_turns: 10']) {
    const message = await said(`${key}\n${one()}`)
    assert.match(message, /^1: .*planning with a language model, which is on the roadmap/, key)
    assert.doesNotMatch(message, /unknown|remove/)
  }
  assert.match(await said(one({ url: 'mysql://u:p@h/d' })), /MySQL, which is on the roadmap/)
  assert.match(
    await said(one().replace('shop"}', 'shop", db_type: mysql}')),
    /mysql is on the roadmap, but not available in this version/,
  )
  const context = {
    targets: () => Promise.resolve(targets),
    main: '',
    version: '',
    env: {},
    tty: false,
    out() {},
    err() {},
  }
  for (const target of ['server', 'kubernetes'])
    await assert.rejects(
      listSkills(context, { target }),
      /is on the roadmap, but not available in this version, which has: database/,
    )
  await assert.rejects(listSkills(context, { target: 'nosuch' }), /no target "nosuch"/)
})

const SHARED = `x-db: &db
  connection_url: postgres://u@localhost/shop
  schemas: [public]
x-anything: {of: others}
experiments:
  - &first
    name: first
    target: database
    target_config: &config
      <<: *db
      schemas: [sales]
    skills: [{skill_name: db.insert_load}]
  - <<: *first
    name: second
  - <<: [{name: third, duration: 2s}, *first]
    target_config:
      <<: [*config, *db]
`

test('S17: top-level x-… keys are free, and merge keys merge: what is near counts before what is far', async () => {
  const { experiments } = await load(SHARED)
  const configs = experiments.map(({ experiment: e }) => [
    e.name,
    e.duration_ms,
    (e.target_config as { schemas: string[] }).schemas,
  ])
  assert.deepEqual(configs, [
    ['first', configs[0]?.[1], ['sales']],
    ['second', configs[0]?.[1], ['sales']],
    ['third', 2_000, ['sales']],
  ])
})

test('S17: a mistake in what is merged is said once, at the place where it is written', async () => {
  const text = SHARED.replace('[sales]', 'sales').replace('[public]', 'nothing')
  const problems = await problemsOf(text)
  assert.deepEqual(
    problems.map((p) => [p.line, p.path]),
    [[11, 'experiments[0].target_config.schemas']],
  )
  assert.match(problems[0]?.message ?? '', /must be a list/)
  const far = await problemsOf(SHARED.replace('      schemas: [sales]\n', '').replace('[public]', 'nothing'))
  assert.deepEqual(
    far.map((p) => p.line),
    [3],
  )
})

test('S17: merges that cannot be are refused with the way out, and many of them end', async () => {
  assert.match(
    await said(`x-a: &a [1]\n${one().replace('name: load', '<<: *a\n    name: load')}`),
    /write "<<: \*anchor" of a map/,
  )
  assert.match(await said(`x-a: &a\n  <<: *a\n${one()}`), /a part of/)
  const bomb = Array.from(
    { length: 40 },
    (_, i) => `x-${i + 1}: &a${i + 1}\n  k${i}: {<<: [*a${i}, *a${i}], b: *a${i}}`,
  )
  assert.match(await said(`x-0: &a0 {k: 1}\n${bomb.join('\n')}\n${one()}`), /more than 100000 values/)
  assert.match(await said(one({ more: 'x-note: mine' })), /unknown key "x-note"/)
})
