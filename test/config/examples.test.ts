/** The example files that come with the package load with the targets that come with it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadConfig, parseConfig } from '../../src/config/load.ts'
import { targets } from '../../src/targets/index.ts'

const folder = fileURLToPath(new URL('../../config/', import.meta.url))

test('config/example-db.yaml loads without any variable set, and takes DATABASE_URL', async () => {
  const plain = await loadConfig(`${folder}example-db.yaml`, { targets, env: {} })
  assert.deepEqual(plain.warnings, [])
  const url = 'postgres://me:pw@db.example:5433/staging'
  const mine = await loadConfig(`${folder}example-db.yaml`, { targets, env: { DATABASE_URL: url } })
  assert.equal((mine.experiments[0]?.experiment.target_config as { connection_url: string }).connection_url, url)
})

test('config/example-app.yaml loads for the daemon without any variable set, and takes CHAOS_TOKEN', async () => {
  const options = { targets, require: 'schedule' } as const
  const { experiments, warnings } = await loadConfig(`${folder}example-app.yaml`, { ...options, env: {} })
  assert.deepEqual(warnings, [])
  assert.deepEqual(
    experiments.map(({ experiment, enabled }) => [experiment.name, experiment.target, enabled]),
    [
      ['slow-search', 'application', true],
      ['wrong-data', 'application', false],
    ],
  )
  const env = { CHAOS_TOKEN: 'sixteen-or-more-characters' }
  const mine = await loadConfig(`${folder}example-app.yaml`, { ...options, env })
  const { token, http } = mine.experiments[1]?.experiment.target_config as { token: string; http: string[] }
  assert.deepEqual([token, http], [env.CHAOS_TOKEN, ['http://127.0.0.1:4711']])
})

test('config/daemon.yaml loads for the daemon, without warnings', async () => {
  const { experiments, warnings } = await loadConfig(`${folder}daemon.yaml`, { targets, env: {}, require: 'schedule' })
  assert.deepEqual(warnings, [])
  assert.deepEqual(
    experiments.map((entry) => entry.experiment.name),
    ['nightly-load', 'less-memory'],
  )
})

test('the example of docs/notifications.md loads, without warnings', async () => {
  const page = readFileSync(`${folder}../docs/notifications.md`, 'utf8')
  const yaml = /```yaml\n([^]*?)```/
    .exec(page)?.[1]
    ?.replace('${file:/etc/chaos/slack-url}', 'https://slack.example/T1/B2')
  const env = { PAGERDUTY_KEY: 'key', CHAOS_WEBHOOK_SECRET: 'sixteen-letters-x', OPS_TOKEN: 'token' }
  const rest = readFileSync(`${folder}example-db.yaml`, 'utf8')
  assert.doesNotMatch(rest, /^settings:/m)
  const { settings, warnings } = await parseConfig('docs.yaml', `${yaml ?? ''}${rest}`, { targets, env })
  assert.deepEqual(warnings, [])
  assert.deepEqual(
    settings.notify?.map((sink) => ('command' in sink ? 'command' : sink.template)),
    ['slack', 'pagerduty', 'json', 'command'],
  )
})
