/** What `settings.notify` and `settings.digest` become, and what is warned of. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load, one, problemsOf } from './helpers.ts'

const settings = (text: string) => `settings: ${text}\n${one()}`

test('a list and a single entry are the same, and what is told by default is what somebody must know', async () => {
  const list = await load(settings('{notify: [{command: [/bin/tell, "a b"]}]}'))
  const single = await load(settings('{notify: {command: [/bin/tell, "a b"]}}'))
  assert.deepEqual(list.settings.notify, single.settings.notify)
  assert.deepEqual(list.settings.notify, [
    {
      command: ['/bin/tell', 'a b'],
      on: ['residue', 'failed', 'ineffective', 'blocked', 'recovered', 'digest', 'reload_failed'],
    },
  ])
  assert.equal((await load(one())).settings.notify, undefined)
})

test('a webhook has its template, headers and secrets, also from variables; PagerDuty is not woken by a digest', async () => {
  const { settings: read } = await load(
    settings(
      '{notify: [{webhook: "${URL}", template: pagerduty, routing_key: "${KEY}", secret: "${KEY}", headers: {X-A: b}, on: [residue]}, {webhook: "https://h.example", template: pagerduty, routing_key: k}]}',
    ),
    { env: { URL: 'https://h.example/x', KEY: 'sixteen-letters-and-more' } },
  )
  assert.deepEqual(read.notify?.[0], {
    ...{ webhook: 'https://h.example/x', template: 'pagerduty', headers: { 'X-A': 'b' }, on: ['residue'] },
    ...{ routing_key: 'sixteen-letters-and-more', secret: 'sixteen-letters-and-more' },
  })
  assert.deepEqual(
    read.notify.map(({ on }) => on.includes('digest')),
    [false, false],
  )
})

test('plain http is warned of where others can read it, and not on this machine', async () => {
  const warnings = async (url: string) => (await load(settings(`{notify: {webhook: "${url}"}}`))).warnings
  for (const url of ['http://127.0.0.1:8080/x', 'http://localhost/x', 'http://[::1]/x', 'https://h.example/x'])
    assert.deepEqual(await warnings(url), [], url)
  const [warning] = await warnings('http://h.example/hunter2')
  assert.match(warning ?? '', /^x\.yaml:1:30: settings\.notify\.webhook: goes to h\.example without encryption/)
  assert.doesNotMatch(warning ?? '', /hunter2/)
  assert.equal((await warnings('http://localhost.example.com/')).length, 1)
})

test('no value that may be secret is in what is said about a wrong entry', async () => {
  const wrong = [
    '{notify: [{webhook: 7hunter2, secret: hunter2, routing_key: [hunter2], headers: {A: ["hunter2"]}}]}',
    '{notify: [{webhook: "https://h/hunter2", template: hunter2x, headers: {A: "hunter2\\nB"}}]}',
    '{notify: [{webhook: "https://h/x", routing_key: hunter2, headers: hunter2}]}',
    '{notify: "https://hooks.example/hunter2"}',
    '{notify: [hunter2://x]}',
    '{notify: [{command: ["${S}"], on: "${S}"}], digest: "${S}"}',
  ]
  for (const text of wrong) {
    const said = (await problemsOf(settings(text), { env: { S: 'hunter2' } })).map((p) => p.message).join('\n')
    if (!text.includes('hunter2x')) assert.doesNotMatch(said, /hunter2/, text)
  }
})

test('an empty list tells nobody; nothing at all, a number and an unknown key are errors', async () => {
  assert.deepEqual((await load(settings('{notify: []}'))).settings.notify, [])
  for (const text of [
    '{notify: }',
    '{notify: 3}',
    '{notify: [null]}',
    '{notify: [{webhok: "https://h"}]}',
    '{notify: {}}',
  ])
    assert.equal((await problemsOf(settings(text))).length, 1, text)
})

test('the digest has a schedule of six fields, also where no experiment has one', async () => {
  assert.equal((await load(settings('{digest: " 0 0 8 * * * "}'))).settings.digest, '0 0 8 * * *')
  const [problem] = await problemsOf(settings('{digest: "0 61 8 * * *"}'))
  assert.match(problem?.message ?? '', /minute "61" is not valid/)
  assert.equal((await problemsOf(settings('{digest: 8}'))).length, 1)
})
