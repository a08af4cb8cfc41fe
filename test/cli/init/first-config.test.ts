/** The text of a first configuration: it loads as what went in, whatever the names are, and its schedules keep apart. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstConfig, staggered } from '../../../src/cli/init/first-config.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { fakeDatabase } from '../../fakes/config-target.ts'

const NAMES = [
  'Order Lines',
  `it's "so"`,
  '${HOME}',
  '$${x',
  'yes',
  '1',
  '- a: b # c',
  'a.b',
  'new\nline',
  '*ü☃',
  '\u0007',
  ' ',
]

test('names that mean something to YAML or to us come back as they went in, also beside comments that hold them', async () => {
  const tables = NAMES.map((name) => `public."${name.replaceAll('"', '""')}"`)
  const suggestion = {
    name: 'first',
    comment: NAMES.join('\n'),
    skill: 'db.insert_load',
    duration: '5m',
    enabled: true,
  }
  const text = firstConfig({
    head: NAMES,
    target: 'database',
    targetConfig: { connection_url: '${URL}' },
    schedule: '0 0 2 * * *',
    allow: [],
    experiments: [
      { suggestion, params: { tables } },
      { suggestion: { ...suggestion, name: 'second', enabled: false }, params: { tables, rows_per_table: 5 } },
    ],
    tail: NAMES,
  })
  const env = { URL: 'postgres://u@h/d', HOME: 'wrong' }
  const { experiments } = await parseConfig('first.yaml', text, { targets: [fakeDatabase()], env, require: 'schedule' })
  assert.deepEqual(
    experiments.map((e) => [e.experiment.name, e.enabled, e.schedule, e.experiment.skills[0]?.params]),
    [
      ['first', true, '0 0 2 * * *', { tables }],
      ['second', false, '0 20 2 * * *', { tables, rows_per_table: 5 }],
    ],
  )
  for (const { experiment } of experiments) {
    assert.equal((experiment.target_config as { connection_url: string }).connection_url, env.URL)
  }
})

test('a schedule is moved within its day, and left alone where it is no single time of day', () => {
  assert.equal(staggered('0 50 2 * * mon', 20), '0 10 3 * * mon')
  assert.equal(staggered('0 0 2 * * *', 0), '0 0 2 * * *')
  for (const fixed of ['0 50 23 * * mon', '0 */5 2 * * *', '0 0 1-5 * * *', 'nonsense']) {
    assert.equal(staggered(fixed, 20), fixed)
  }
})
