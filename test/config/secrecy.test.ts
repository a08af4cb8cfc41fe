/** No password of a configuration may show up in what is said about it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import type { Target } from '../../src/core/target.ts'
import { fakeDatabase } from '../fakes/config-target.ts'
import { one, problemsOf } from './helpers.ts'

const SECRET = 'hunter2'

test('a filled-in value is never shown, wherever it does not belong; its expression is', async () => {
  const places = [
    one().replace('name: load', 'name: "${S}\\n"'),
    one().replace('target: database', 'target: ${S}'),
    one({ url: '${S}' }),
    one({ skill: '"${S}"' }),
    one({ params: '{rows_per_table: "${S}"}' }),
    one({ params: '{tables: "${S}"}' }),
    one({ params: '"${S}"' }),
    one({ skill: 'db.config_change', params: '{changes: "${S}"}' }),
    ...[
      'duration',
      'parallel',
      'spread',
      'pace',
      'where',
      'enabled',
      'timezone',
      'on_busy',
      'jitter',
      'on_missed',
      'windows',
      'failsafe',
      'schedule',
      'limits',
      'allow',
    ].map((key) => one({ more: `${key}: "\${S}"` })),
    one({ more: 'limits: {rows: "${S}", percent: "${S}", duration: "${S}"}' }),
    one({ more: 'resource_filters: ["(${S}"]' }),
    one({ more: 'schedule: "${S} 0 2 * * *"' }),
    one({ more: 'windows: ["${S}", "${S} 22:00-06:00"]' }),
    one({ more: 'blackouts: ["${S}", {from: "${S}", to: "2026-01-01 ${S}"}]' }),
    `settings: {max_concurrent: "\${S}", history: {keep_days: "\${S}"}, stop_deadline: "\${S}"}\n${one()}`,
    `settings: "\${S}"\n${one()}`,
    `experiments: "\${S}"`,
    `experiments: ["\${S}"]`,
    '"${S}"',
  ]
  for (const text of places) {
    const said = (await problemsOf(text, { env: { S: SECRET } })).map((p) => p.path + p.message).join('\n')
    assert.ok(!said.includes(SECRET), `${text}\n${said}`)
  }
  const [problem] = await problemsOf(one({ more: 'parallel: ${S}' }), { env: { S: SECRET } })
  assert.equal(problem?.message, 'must be true or false, got text from ${S}')
})

test('neither are numbers, short values, defaults and durations that were filled in', async () => {
  const said = async (more: string, env: NodeJS.ProcessEnv = {}) =>
    (await problemsOf(one({ more }), { env })).map((p) => p.message).join('\n')
  assert.match(await said('duration: ${S}', { S: '4711' }), /got a number from \$\{S\}/)
  assert.ok(!(await said('duration: "${S}"', { S: '4711' })).includes('4711'))
  assert.ok(!(await said('duration: ${S:-hunter2}')).includes(SECRET))
  assert.ok(!(await said('duration: "${S}"', { S: '77h' })).includes('77'))
  assert.ok(!(await said('duration: 5h\nlimits: {duration: "${S}"}', { S: '77m' })).includes('77'))
})

test('a password that is written into the file itself is not shown either', async () => {
  const texts = [
    one({ url: 'postgras://chaos:hunter2@localhost/shop' }),
    one({ url: 'host=localhost password=hunter2' }),
    one({ url: 'chaos:hunter2@localhost/shop' }),
    one().replace('target: database', 'target: postgres://chaos:hunter2@localhost/shop'),
    one()
      .replace('target_config: {connection_url: "', 'target_config: {"')
      .replace('postgres://u@', 'postgres://u:hunter2@'),
    one({ more: 'password: hunter2\nduration: postgres://chaos:hunter2@localhost/shop' }),
    one({ more: 'duration: @hunter2' }),
    one({ more: 'duration: "x" hunter2' }),
    one({ more: 'duration: *hunter2' }),
    one({ more: 'x: "\\hunter2"' }),
  ]
  for (const text of texts) {
    const said = (await problemsOf(text)).map((p) => p.path + p.message).join('\n')
    assert.ok(!said.includes(SECRET), `${text}\n${said}`)
  }
})

test('a target that repeats the value in its own words is cut short', async () => {
  const chatty: Target = {
    ...fakeDatabase(),
    config: z.strictObject({
      connection_url: z.string().superRefine((url, ctx) => {
        const password = decodeURIComponent(url.replace(/^.*:\/\/[^:]*:(.*)@.*$/, '$1'))
        ctx.addIssue({
          code: 'custom',
          message: `cannot use ${url} with password ${password}, try postgres://me@host`,
        })
      }),
    }),
  }
  const options = { targets: [chatty], env: { P: 'ab', L: 'correct%20horse' } }
  for (const password of ['hunter2', '${P}', '${L}', 'p%40ss']) {
    const [problem] = await problemsOf(one({ url: `postgres://u:${password}@h/d` }), options)
    assert.equal(problem?.message, 'cannot use … with password …, try postgres://me@host')
  }
})

test('a target whose schema throws is a problem of the file, not a crash', async () => {
  const broken: Target = {
    ...fakeDatabase(),
    config: z.unknown().refine((): boolean => {
      throw new Error('URI malformed: hunter2')
    }),
  }
  const [problem] = await problemsOf(one({ url: '${S}' }), { targets: [broken], env: { S: SECRET } })
  assert.equal(problem?.message, 'cannot be understood: URI malformed: …')
})
