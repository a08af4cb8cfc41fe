import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChaosEvent } from '../../src/core/events.ts'
import { ndjson } from '../../src/observe/ndjson.ts'
import { harmless } from '../../src/core/events.ts'
import { scrubbed } from '../../src/observe/scrub.ts'

const at = '2026-01-02T03:04:05.000Z'

function through(secrets: string[], event: ChaosEvent): ChaosEvent {
  let seen: ChaosEvent | undefined
  scrubbed(secrets, (e) => (seen = e))(event)
  return seen!
}

test('a secret is taken out of every text of an event, however deep', () => {
  const event: ChaosEvent = {
    type: 'run.planned',
    ...{ at, run: 'r1' },
    plan: {
      target: 'fake',
      identity: { user: 'canary-secret' },
      summary: 'password canary-secret, twice canary-secret',
      resources: [{ id: 'a', name: 'canary-secret', kind: 'x' }],
      steps: [{ step: 1, skill: 's', resource: 'r', describe: 'with canary-secret' }],
      skipped: [{ skill: 's', resource: 'r', reason: 'canary-secret' }],
      notes: ['canary-secret'],
      counts: { resources: { x: 1 }, steps: { s: 1 }, skipped: { s: 1 }, notes: 1 },
      seed: 'canary-secret',
    },
  }
  const before = structuredClone(event)
  const seen = through(['canary-secret'], event)
  assert.doesNotMatch(JSON.stringify(seen), /canary/)
  assert.ok(seen.type === 'run.planned')
  assert.equal(seen.plan.summary, 'password ***, twice ***')
  assert.deepEqual(event, before, 'the event itself is not changed')
})

test('of secrets within each other the longer one goes first, so that nothing of it is left', () => {
  const seen = through(['pass', 'password-and-more'], { type: 'warning', at, message: 'password-and-more pass' })
  assert.equal(seen.type === 'warning' && seen.message, '*** ***')
})

test('values too short to be told from words are left alone, and so are events without secrets', () => {
  const event: ChaosEvent = { type: 'warning', at, message: 'an apple' }
  assert.deepEqual(through(['a', '', 'app'], event), event)
  assert.equal(through([], event), event)
})

test('a secret is found in the forms that URLs, JSON and Basic headers give it', () => {
  const secret = 'p@ss "word"/é='
  const bytes = Buffer.from(secret)
  const forms = [encodeURIComponent(secret), encodeURI(secret), JSON.stringify(secret).slice(1, -1)]
  const message = [...forms, bytes.toString('base64'), bytes.toString('base64url')].join(' and ')
  const seen = through([secret, '\ud800-half-a-pair'], { type: 'warning', at, message })
  assert.match(seen.type === 'warning' ? seen.message : '', /^(\*\*\*=* and ){4}\*\*\*=*$/)
})

test('characters that mean something to a search are nothing special in a secret', () => {
  const seen = through(['$&.*(x)'], { type: 'warning', at, message: 'key $&.*(x) end' })
  assert.equal(seen.type === 'warning' && seen.message, 'key *** end')
})

test('a sink that throws does not reach who emits, and gets the next event all the same', () => {
  let calls = 0
  const sink = harmless(() => {
    calls++
    throw new Error('EPIPE')
  })
  sink({ type: 'daemon.ready', at })
  sink({ type: 'daemon.ready', at })
  assert.equal(calls, 2)
})

test('ndjson is one JSON document a line, also where texts have newlines', () => {
  let text = ''
  const sink = ndjson((line) => (text += line))
  sink({ type: 'warning', at, message: 'two\nlines' })
  sink({ type: 'daemon.ready', at })
  const lines = text.split('\n')
  assert.equal(lines.length, 3)
  assert.deepEqual(JSON.parse(lines[0]!), { type: 'warning', at, message: 'two\nlines' })
})
