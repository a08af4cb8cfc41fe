/** `pace` of an experiment and of a skill: what may be written, what is said of the rest, and what it becomes beside `spread`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePace, paceText } from '../../src/core/pace.ts'
import { load, problemsOf } from './helpers.ts'

const file = (experiment: string, skill: string): string => `
experiments:
  - name: load
    target: database
    target_config: {connection_url: "postgres://u@localhost/shop"}
    duration: 5m
    ${experiment}
    skills:
      - skill_name: db.insert_load
        ${skill}
`
const read = async (experiment = '', skill = '') => {
  const [first] = (await load(file(experiment, skill))).experiments
  const [entry] = first?.experiment.skills ?? []
  return [first?.experiment.pace, entry?.pace, entry?.spread]
}

test('a pace is read where it is written; without one nothing is different', async () => {
  assert.deepEqual(await read(), [undefined, undefined, false])
  assert.deepEqual(await read('pace: 10/s'), [{ every_ms: 100 }, undefined, false])
  assert.deepEqual(await read('pace: 30/m', 'pace: ramp 2m'), [{ every_ms: 2_000 }, { ramp_ms: 120_000 }, false])
  assert.deepEqual(await read('pace: spread', 'pace: at_once'), ['spread', 'at_once', false])
})

test('spread means what it did, and wins over the pace of the experiment', async () => {
  assert.deepEqual(await read('spread: true'), [undefined, undefined, true])
  assert.deepEqual(await read('pace: 10/s', 'spread: true'), [{ every_ms: 100 }, undefined, true])
  assert.deepEqual(await read('pace: 10/s', 'spread: false'), [{ every_ms: 100 }, 'at_once', false])
})

test('what is no pace says what to write instead', async () => {
  const said = async (experiment: string, skill = ''): Promise<string> =>
    (await problemsOf(file(experiment, skill))).map(({ path, message }) => `${path}: ${message}`).join('\n')
  assert.match(await said('pace: fast'), /^experiments\[0\]\.pace: must be at_once, spread, a rate such as 10\/s/)
  for (const none of ['0/s', '10', '10/d', 'ramp', 'ramp 0s', 'ramp 2', '-1/s'])
    assert.match(await said(`pace: "${none}"`), /pace: must be at_once/, none)
  assert.match(await said('pace: 10 per second'), /is not a pace: write "10\/s"/)
  assert.match(await said('', 'pace: 30 / minute'), /^experiments\[0\]\.skills\[0\]\.pace: .*write "30\/m"/)
  assert.match(
    await said('', 'pace: ramp 10m'),
    /skills\[0\]\.pace: is not over before the soak is: the duration is 5m/,
  )
  assert.match(await said('pace: ramp 5m'), /^experiments\[0\]\.pace: is not over before the soak is/)
  assert.match(await said('', 'pace: 1/s\n        spread: true'), /spread: says the same as pace/)
  assert.match(await said('', 'params: {pace: 1/s}'), /put it beside "params:"/)
})

test('a pace is told as it is written', () => {
  for (const text of ['at_once', 'spread', '10/s', '3/s', '30/m', '7/m', '5/h', 'ramp 2m'])
    assert.equal(paceText(parsePace(text)!), text === '30/m' ? '30/m' : text)
})
