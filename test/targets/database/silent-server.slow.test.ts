/** A server that accepts a statement and never answers: frozen, or behind a network that drops everything. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messageOf } from '../../../src/core/errors.ts'
import { PostgresClient } from '../../../src/targets/database/postgres/client.ts'
import { startPostgres } from '../../labs/embedded-postgres.ts'

test('a statement whose server is frozen ends with an error that says so, and the connection counts as lost', async (t) => {
  const server = await startPostgres()
  t.after(() => server.stop('immediate'))
  const { signal } = new AbortController()
  const client = await PostgresClient.connect({ connectionUrl: server.url(), mark: 'chaos-test-silent-0', signal })
  t.after(() => client.close())
  const session = await client.session('chaos-test-silent-1', signal, { statementMs: 200 })
  process.kill(Number(session.pid), 'SIGSTOP')
  try {
    await assert.rejects(session.query('select 1'))
    await assert.rejects(session.query('select 1'), (error) => /does not answer/.test(messageOf(error)))
  } finally {
    process.kill(Number(session.pid), 'SIGCONT')
    await session.close()
  }
})
