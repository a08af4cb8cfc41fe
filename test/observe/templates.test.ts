/** The forms that Slack and PagerDuty want. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bodyOf } from '../../src/observe/templates.ts'
import { hook, note } from './notifications.ts'

const url = 'https://hooks.example/T1/B2'
const parsed = (body: string): Record<string, unknown> => JSON.parse(body) as Record<string, unknown>

test('json is the notification itself', () => {
  assert.deepEqual(parsed(bodyOf(note(), hook(url))), note())
})

test('for Slack every text is escaped and within what Slack accepts', () => {
  const long = note({ title: 'a & b '.repeat(100), text: '<x>'.repeat(5_000), count: 3 })
  const { text, blocks } = parsed(bodyOf(long, hook(url, { template: 'slack' }))) as {
    text: string
    blocks: { type: string; text?: { text: string }; elements?: { text: string }[] }[]
  }
  assert.match(text, /^:x: a &amp; b /)
  assert.deepEqual(
    blocks.map((b) => b.type),
    ['header', 'section', 'context'],
  )
  assert.ok((blocks[0]?.text?.text.length ?? 0) <= 150)
  assert.ok((blocks[1]?.text?.text.length ?? 0) <= 3_000)
  assert.doesNotMatch(blocks[1]?.text?.text ?? '', /[<>]/)
  assert.match(blocks[2]?.elements?.[0]?.text ?? '', /run r1 · chaos on box · .* 3 times/)
})

test('for PagerDuty residue opens an incident, and recovery of the same run resolves that very one', () => {
  const sink = hook(url, { template: 'pagerduty', routing_key: 'R1' })
  const opened = parsed(bodyOf(note({ kind: 'residue', severity: 'critical' }), sink))
  const resolved = parsed(bodyOf(note({ kind: 'recovered', severity: 'info' }), sink))
  assert.equal(opened['event_action'], 'trigger')
  assert.equal(resolved['event_action'], 'resolve')
  assert.equal(opened['routing_key'], 'R1')
  assert.equal(opened['dedup_key'], 'chaos/abc123/r1')
  assert.equal(resolved['dedup_key'], opened['dedup_key'])
  const { severity, source, summary } = opened['payload'] as Record<string, unknown>
  assert.deepEqual([severity, source, summary], ['critical', 'postgres://db:5432/shop', 'nightly failed'])
})
