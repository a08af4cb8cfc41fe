import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadConfig, parseConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/core/errors.ts'
import { targets } from '../../src/targets/index.ts'
import { fakeDatabase } from '../fakes/config-target.ts'
import { load, one, problemsOf } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'chaos-config-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('everything that is not written has its default', async () => {
  const { settings, experiments, warnings } = await load(one())
  assert.deepEqual(settings, {
    max_concurrent: 2,
    timezone: 'UTC',
    stop_deadline_ms: 300_000,
    history: { keep_days: 30 },
    trust: 'warn',
  })
  assert.deepEqual(warnings, [])
  assert.deepEqual(experiments, [
    {
      experiment: {
        name: 'load',
        target: 'database',
        target_config: { connection_url: 'postgres://u@localhost/shop', db_type: 'postgres', schemas: [] },
        skills: [{ skill_name: 'db.insert_load', params: {}, count: 1, spread: false }],
        duration_ms: 300_000,
        parallel: false,
        resource_filters: [],
        safety: {
          limits: { rows: 100_000, resources: 50, percent: 50, duration_ms: 4 * 3_600_000 },
          allow: [],
          protected: [],
          failsafe: 'warn',
        },
      },
      enabled: true,
      timezone: 'UTC',
      on_busy: 'queue',
      jitter_ms: 0,
      on_missed: 'skip',
      missed_grace_ms: 3_600_000,
      windows: [],
      blackouts: [],
    },
  ])
})

test('both forms of an entry may stand in one file, and the nearest word on safety and timing counts', async () => {
  const { experiments } = await load(`
settings:
  timezone: Europe/Berlin
  on_busy: skip
  failsafe: require
  allow: [everywhere]
  limits: {rows: 1000, resources: 7}
experiments:
  - name: flat
    target: database
    target_config: {connection_url: "postgres://u@localhost/shop"}
    skills: [{skill_name: db.insert_load}]
    limits: {rows: 20}
    timezone: Asia/Tokyo
  - experiment:
      name: wrapped
      target: database
      target_config: {connection_url: "postgres://u@localhost/shop"}
      skills: [{skill_name: db.insert_load}]
      limits: {rows: 30, percent: 5}
      failsafe: warn
    limits: {rows: 40}
    allow: [here]
    schedule: " 0 0 12 * * * "
    on_busy: queue
    enabled: false
`)
  const [flat, wrapped] = experiments
  assert.deepEqual(flat?.experiment.safety, {
    limits: { rows: 20, resources: 7, percent: 50, duration_ms: 4 * 3_600_000 },
    allow: ['everywhere'],
    protected: [],
    failsafe: 'require',
  })
  assert.deepEqual([flat.timezone, flat.on_busy, flat.enabled, 'schedule' in flat], ['Asia/Tokyo', 'skip', true, false])
  assert.deepEqual(wrapped?.experiment.safety, {
    limits: { rows: 40, resources: 7, percent: 5, duration_ms: 4 * 3_600_000 },
    allow: ['here'],
    protected: [],
    failsafe: 'warn',
  })
  const { schedule, timezone, on_busy, enabled } = wrapped
  assert.deepEqual([schedule, timezone, on_busy, enabled], ['0 0 12 * * *', 'Europe/Berlin', 'queue', false])
})

test('where says on how many places a skill is, and is refused of a target that is one system', async () => {
  const experiment = (target: string, config: string, where: string) => `
experiments:
  - name: e
    target: ${target}
    target_config: ${config}
    where: 2
    skills:
      - {skill_name: ${target === 'database' ? 'db.insert_load' : 'app.timeout'}${where}}
      - {skill_name: ${target === 'database' ? 'db.update_load' : 'app.timeout'}}
`
  const app = '{app: shop, sockets: [/run/a.sock, /run/b.sock]}'
  const real = (text: string) => parseConfig('chaos.yaml', text, { targets, env: {} })
  const { experiments } = await real(experiment('application', app, ', where: 50%'))
  assert.deepEqual(
    experiments[0]?.experiment.skills.map(({ where }) => where),
    ['50%', 2],
  )
  const problems = (text: string) =>
    real(text).then(
      () => [],
      (error: unknown) => (error as ConfigError).problems.map((p) => p.message),
    )
  assert.deepEqual(await problems(experiment('application', app, ', where: half')), [
    'must be all, a number of places such as 2, or a share of them such as 50%, got "half"',
  ])
  const one = 'is for targets with several places, and database is one system: leave it out'
  assert.deepEqual(await problems(experiment('database', '{connection_url: "postgres://db/x"}', ', where: 50%')), [
    one,
    one,
  ])
})

test('an experiment says once for all its skills whether they are spread, and a skill may disagree', async () => {
  const { experiments } = await load(`
experiments:
  - name: load
    target: database
    target_config: {connection_url: "postgres://u@localhost/shop"}
    spread: true
    skills:
      - skill_name: db.insert_load
      - {skill_name: db.update_load, spread: false, count: 3}
`)
  const skills = experiments[0]?.experiment.skills.map(({ spread, count }) => ({ spread, count }))
  assert.deepEqual(skills, [
    { spread: true, count: 1 },
    { spread: false, count: 3 },
  ])
})

test('params that a skill shares with target_config fall back to it, and win where they are written', async () => {
  const text = (params: string) => `
experiments:
  - name: load
    target: database
    target_config: {connection_url: "postgres://u@localhost/shop", schemas: [sales]}
    skills: [{skill_name: db.vacuum${params}}, {skill_name: db.insert_load}]
`
  const paramsOf = async (params: string) =>
    (await load(text(params))).experiments[0]?.experiment.skills.map((skill) => skill.params)
  assert.deepEqual(await paramsOf(''), [{ schemas: ['sales'] }, {}])
  assert.deepEqual(await paramsOf(', params: {schemas: [other]}'), [{ schemas: ['other'] }, {}])
})

test('a param that fell back is complained about where it is written', async () => {
  const [problem] = await problemsOf(`
experiments:
  - name: load
    target: database
    target_config:
      connection_url: "postgres://u@localhost/shop"
      schemas: []
    skills: [{skill_name: db.vacuum}]
`)
  assert.deepEqual([problem?.line, problem?.path], [7, 'experiments[0].target_config.schemas'])
})

test('the daemon needs a schedule for everything that is enabled', async () => {
  const text = `${one()}  - {experiment: {name: b, target: database, target_config: {connection_url: "postgres://u@h/d"}, skills: [{skill_name: db.insert_load}]}}\n`
  assert.equal((await load(text)).experiments.length, 2)
  const problems = await problemsOf(text, { require: 'schedule' })
  assert.deepEqual(
    problems.map((p) => [p.line, p.path]),
    [
      [2, 'experiments[0].schedule'],
      [7, 'experiments[1].schedule'],
    ],
  )
  assert.match(problems[0]?.message ?? '', /add schedule: "0 0 2 \* \* \*", or enabled: false/)
  const { warnings } = await load(one({ more: 'enabled: false' }), { require: 'schedule' })
  assert.match(warnings.join(), /nothing will ever run/)
})

test('a name may be in any script, but not be empty, long, padded or several lines', async () => {
  const name = async (text: string) => (await problemsOf(one().replace('name: load', `name: ${text}`)))[0]?.message
  assert.equal((await load(one().replace('name: load', 'name: "夜間 Überlast #2 (a/b)"'))).experiments.length, 1)
  assert.match((await name('""')) ?? '', /must not be empty/)
  assert.match((await name('" a"')) ?? '', /space/)
  assert.match((await name('"a\\nb"')) ?? '', /one line of visible characters/)
  assert.match((await name('"a\\e[31mb"')) ?? '', /visible characters/)
  assert.match((await name(`"${'x'.repeat(101)}"`)) ?? '', /longer than 100/)
  assert.match((await name('5')) ?? '', /put quotes around it: "5"/)
})

test('a default duration over the limit is refused too, at the experiment', async () => {
  const [problem] = await problemsOf(one({ more: 'limits: {duration: 1m}' }))
  assert.deepEqual([problem?.line, problem?.path], [2, 'experiments[0].duration'])
  assert.match(problem?.message ?? '', /is not given, and its default 5m is longer than limits\.duration \(1m\)/)
  assert.equal((await load(one({ more: 'limits: {duration: 5m}' }))).experiments.length, 1)
  assert.equal((await load(one({ more: 'duration: 6h\nlimits: {duration: 6h}' }))).experiments.length, 1)
})

test('an alias is the value it stands for, and a mistake in it is reported once', async () => {
  const text = (extra: string) => `
experiments:
  - name: a
    target: database
    target_config: &db
      connection_url: "postgres://u@localhost/shop"${extra}
    skills: [{skill_name: db.insert_load}]
  - {name: b, target: database, target_config: *db, skills: [{skill_name: db.insert_load}]}
`
  const { experiments } = await load(text(''))
  assert.deepEqual(experiments[0]?.experiment.target_config, experiments[1]?.experiment.target_config)
  const problems = await problemsOf(text('\n      scemas: []'))
  assert.deepEqual(
    problems.map((p) => [p.line, p.column]),
    [[7, 7]],
  )
})

test('a few lines of aliases cannot stand for billions of values', async () => {
  const lines = Array.from({ length: 12 }, (_, i) => `  - &a${i + 1} [${`*a${i}, `.repeat(10)}]`)
  const problems = await problemsOf(`experiments:\n  - &a0 [x]\n${lines.join('\n')}\n`)
  assert.match(problems.map((p) => p.message).join('\n'), /more than 100000 values/)
})

test('text nested deep enough to exhaust a parser is refused instead', async () => {
  for (const text of [
    '['.repeat(50_000),
    '- '.repeat(50_000),
    `a: ${'{b: '.repeat(50_000)}`,
    `a:\n\n${'[\n'.repeat(9_000)}`,
  ]) {
    const problems = await problemsOf(text)
    assert.match(problems[0]?.message ?? '', /nested more than/)
    assert.ok((problems[0]?.line ?? 0) > 0)
  }
})

test('values that are not plain data are refused at their place', async () => {
  const [binary] = await problemsOf(one({ more: 'duration: !!binary aGVsbG8=' }))
  assert.deepEqual([binary?.line, binary?.path], [6, 'experiments[0].duration'])
  const [tag] = await problemsOf(one({ more: 'duration: !minutes 5' }))
  assert.deepEqual([tag?.line, tag?.column], [6, 15])
  const [key] = await problemsOf(one({ more: '? [a]\n: b' }))
  assert.match(key?.message ?? '', /key must be plain text/)
  const [proto] = await problemsOf(one({ more: '__proto__: {skills: []}' }))
  assert.match(proto?.message ?? '', /unknown key "__proto__"/)
})

test('a guarded name is a warning when the file is loaded; the run itself is refused later', async () => {
  const text = one({ url: 'postgres://u@prod-db/shop' })
  const { warnings } = await load(text)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /^x\.yaml:4:20: experiments\[0\]\.target_config: prod-db looks like production/)
  assert.deepEqual((await load(`settings: {allow: [prod-db]}\n${text}`)).warnings, [])
})

test('an entry whose list of protected names drops one of the settings says so', async () => {
  const { warnings } = await load(`settings: {protected: ["billing*", x]}\n${one({ more: 'protected: [x, y]' })}`)
  assert.match(warnings.join(), /x\.yaml:7:16: .*billing\* no longer protected here/)
})

test('a file that cannot be read says why, with its path', async () => {
  const options = { targets: [fakeDatabase()], env: {} }
  const said = async (file: string) => {
    const error = await loadConfig(file, options).catch((e: unknown) => e)
    assert.ok(error instanceof ConfigError)
    assert.ok(error.message.startsWith(`${file}: `), error.message)
    return error.message
  }
  mkdirSync(join(folder, 'dir'))
  writeFileSync(join(folder, 'utf16.yaml'), Buffer.from(`\ufeff${one()}`, 'utf16le'))
  writeFileSync(join(folder, 'huge.yaml'), Buffer.alloc(17 * 2 ** 20, '#'))
  writeFileSync(join(folder, 'secret.yaml'), one())
  chmodSync(join(folder, 'secret.yaml'), 0)
  assert.match(
    await said(join(folder, 'missing.yaml')),
    /does not exist \(looked for .*missing\.yaml\): check the path/,
  )
  assert.match(await said(join(folder, 'secret.yaml', 'x.yaml')), /is a file, not a folder/)
  assert.match(await said(join(folder, 'dir')), /is a folder: name a YAML file/)
  assert.match(await said(join(folder, 'utf16.yaml')), /UTF-16: save it as UTF-8/)
  assert.match(await said(join(folder, 'huge.yaml')), /larger than 16 MiB/)
  assert.match(await said('/dev/zero'), /neither a file nor a pipe/)
  // Root reads everything.
  if (process.getuid?.() !== 0) assert.match(await said(join(folder, 'secret.yaml')), /may not be read by this user/)
})

test('a byte order mark, Windows line ends and a pipe are all right', async () => {
  const options = { targets: [fakeDatabase()], env: {} }
  const file = join(folder, 'windows.yaml')
  writeFileSync(file, `\ufeff${one().replaceAll('\n', '\r\n')}`)
  assert.equal((await loadConfig(file, options)).experiments.length, 1)
  const pipe = join(folder, 'pipe')
  if (spawnSync('mkfifo', [pipe]).status !== 0) return
  const [piped] = await Promise.all([loadConfig(pipe, options), writeFile(pipe, one())])
  assert.equal(piped.experiments.length, 1)
})
