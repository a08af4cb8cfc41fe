/** Many sessions of a run are ended at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endMarked } from '../../../src/targets/database/postgres/sessions.ts'

test('a hundred sessions of a run are ended by one statement', async () => {
  const statements: string[] = []
  const row = (n: number) => ({
    pid: `${n}`,
    start: 's',
    name: 'chaos-a-b-1',
    role: 'r',
    own_role: 'true',
    ours: 'true',
  })
  const on = {
    query: (sql: string) => {
      statements.push(sql)
      return Promise.resolve(Array.from({ length: 100 }, (_, n) => row(n)))
    },
  }
  const found = await endMarked(on as never, 'chaos-a-b-', [], [])
  assert.deepEqual([found.length, statements.length], [100, 1])
  assert.match(statements[0] ?? '', /pg_terminate_backend/)
})
