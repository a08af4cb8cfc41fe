/** What of `settings.notify` counts as secret. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { notifySecrets } from '../../src/cli/secrets.ts'
import type { WebhookSink } from '../../src/core/notify.ts'

const hook = (webhook: string, more: Partial<WebhookSink> = {}): string[] =>
  notifySecrets([{ webhook, template: 'json', headers: {}, on: [], ...more }])

test('of a webhook its secret, its routing key, its headers, and what in its address is no word', () => {
  const secrets = hook('https://hooks.slack.com/services/T00000000/B00000000/abcDEF123?token=tok', {
    ...{
      secret: 'sixteen-letters-x',
      routing_key: 'R123',
      headers: { Authorization: 'Bearer abc-def-ghi', A: 'short' },
    },
  })
  for (const secret of [
    ...['sixteen-letters-x', 'R123', 'Bearer abc-def-ghi', 'abc-def-ghi', 'T00000000', 'abcDEF123', 'tok'],
    '/services/T00000000/B00000000/abcDEF123?token=tok',
  ])
    assert.ok(secrets.includes(secret), secret)
  for (const word of ['services', 'short', 'https://hooks.slack.com', '']) assert.ok(!secrets.includes(word), word)
})

test('an address of plain words is none, and neither is a command', () => {
  assert.deepEqual(hook('http://127.0.0.1:8080/hook'), [])
  assert.deepEqual(notifySecrets([{ command: ['/bin/tell', 'sixteen-letters-x'], on: [] }]), [])
})
