/**
 * Every YAML block of the two mission documents. Those for targets of this version load unchanged, as do those of
 * experiments inside applications with the command that runs them; the format of a later command (`llm:` of `chaos plan`)
 * is named as such.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadChaosExperiment } from '../../src/config/chaos-experiment.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { LoadOptions } from '../../src/config/load.ts'
import { ConfigError } from '../../src/core/errors.ts'
import { targets } from '../../src/targets/index.ts'
import { fakeDatabase } from '../fakes/config-target.ts'

const folder = fileURLToPath(new URL('../mission/', import.meta.url))

const LOADS = ['daemon.yaml', 'database.yaml']
const REFUSED: Record<string, RegExp> = {
  'kubernetes.yaml':
    /^\S+kubernetes\.yaml:3:13: experiments\[0\]\.target: target "kubernetes" is on the roadmap, but not available in this version, which has: database(, application)?$/,
  'server.yaml':
    /^\S+server\.yaml:3:13: experiments\[0\]\.target: target "server" is on the roadmap, but not available in this version, which has: database(, application)?$/,
  'llm-plan.yaml':
    /^\S+llm-plan\.yaml:1:1: is a file for planning with a language model, which is on the roadmap, but not available/,
  'application-schema.yaml': /^\S+:1:1: is an experiment inside an application: run it with `chaos run --experiment/,
  'application-quick-start.yaml':
    /^\S+:1:1: is an experiment inside an application: run it with `chaos run --experiment/,
}

test('every block of the mission is either loaded or refused here', () => {
  assert.deepEqual(readdirSync(folder).sort(), [...LOADS, ...Object.keys(REFUSED)].sort())
})

for (const [registry, known] of [
  ['fake', [fakeDatabase()]],
  ['real', targets],
] as const) {
  const options: LoadOptions = { targets: known, env: {} }
  test(`the mission's database experiment loads unchanged (${registry} targets)`, async () => {
    const { experiments, warnings } = await loadConfig(`${folder}database.yaml`, options)
    const [entry] = experiments
    assert.deepEqual(warnings, [])
    assert.equal(experiments.length, 1)
    assert.equal(entry?.experiment.duration_ms, 300_000)
    assert.deepEqual(entry.experiment.skills, [
      {
        skill_name: 'db.insert_load',
        params: { rows_per_table: 10000, tables: ['users', 'orders'] },
        count: 1,
        spread: false,
      },
      {
        skill_name: 'db.config_change',
        params: { changes: [{ param: 'work_mem', value: '4MB' }] },
        count: 1,
        spread: false,
      },
    ])
  })

  test(`the mission's daemon file loads unchanged, also for the daemon (${registry} targets)`, async () => {
    const { settings, experiments, warnings } = await loadConfig(`${folder}daemon.yaml`, {
      ...options,
      require: 'schedule',
    })
    const [entry] = experiments
    // Its database is reached over a network, by whoever answers.
    assert.deepEqual(
      warnings.filter((warning) => !warning.endsWith('write sslmode: verify-full')),
      [],
    )
    assert.equal(settings.max_concurrent, 2)
    assert.equal(entry?.schedule, '0 0 2 * * *')
    assert.equal(entry.enabled, true)
    assert.equal(entry.experiment.name, 'nightly-db-chaos')
    assert.equal(entry.experiment.duration_ms, 900_000)
  })

  for (const [file, message] of Object.entries(REFUSED)) {
    test(`${file} is refused with exactly one sentence that says why (${registry} targets)`, async () => {
      const error = await loadConfig(folder + file, options).catch((e: unknown) => e)
      assert.ok(error instanceof ConfigError)
      assert.equal(error.problems.length, 1)
      assert.match(error.message, message)
    })
  }
}

for (const [file, id, components] of [
  ['application-quick-start.yaml', 'latency-test-001', ['tool_executor']],
  ['application-schema.yaml', 'my-exp-001', ['llm_tool_call', 'vector_search']],
] as const) {
  test(`${file} loads unchanged as an experiment inside an application`, async () => {
    const experiment = await loadChaosExperiment(folder + file, {})
    assert.equal(experiment.experiment_id, id)
    assert.deepEqual(experiment.target_components, components)
    assert.deepEqual(
      experiment.faults.map((fault) => fault.fault_type),
      ['latency', 'error'],
    )
  })
}

test('no target and no skill of the registry accepts a key it does not know', () => {
  for (const target of targets) {
    for (const schema of [target.config, ...target.skills.map((skill) => skill.params)]) {
      const result = schema.safeParse({ surely_unknown: 1 })
      assert.ok(result.error?.issues.some((issue) => issue.code === 'unrecognized_keys'))
    }
  }
})
