import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PostgresClient } from '../../../src/targets/database/postgres/client.ts'
import { startPostgres } from '../../labs/embedded-postgres.ts'

test('a connection that is aborted at any moment of its making is made or refused, and never hangs', async (t) => {
  const server = await startPostgres()
  t.after(() => server.stop())
  for (let ms = 0; ms < 30; ms += 0.6) {
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(new Error('stopped')), ms)
    const options = { connectionUrl: server.url(), mark: 'chaos-test-abort-0', signal: stop.signal }
    const outcome = PostgresClient.connect(options).then(
      async (client) => {
        await client.close()
        return 'made'
      },
      (error: unknown) => (error as Error).message,
    )
    assert.match(
      await Promise.race([outcome, sleep(10_000, `hangs after an abort at ${ms} ms`, { ref: false })]),
      /^(made|stopped)$/,
    )
    clearTimeout(timer)
  }
})
