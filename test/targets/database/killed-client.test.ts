/** What a worker was asking when it was killed: the server must not go on with it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, test } from 'node:test'
import { startPostgres } from '../../labs/embedded-postgres.ts'
import type { Postgres } from '../../labs/embedded-postgres.ts'

let server: Postgres
before(async () => void (server = await startPostgres()))
after(() => server.stop())

/** Longer than the server may take to notice, shorter than the plan's own statement timeout. */
const QUERY_S = 28
const SOON_MS = 12_000

const ASK: Readonly<Record<string, string>> = {
  'a query of plan': `(await client.openReader()).query('select pg_sleep(${QUERY_S})')`,
  'a query of the control connection': `client.query('select pg_sleep(${QUERY_S})')`,
  'a statement of a session': `(await client.session('chaos-killed-r1-1', signal)).query('select pg_sleep(${QUERY_S})')`,
}

for (const [what, ask] of Object.entries(ASK)) {
  test(`${what} ends on the server soon after its worker was killed`, async (t) => {
    const [row] = await server.sql(`select 1 as ok from pg_settings where name = 'client_connection_check_interval'`)
    if (!row || !['linux', 'freebsd'].includes(process.platform)) {
      t.diagnostic('this server cannot look')
      return
    }
    const script = `
      import { PostgresClient } from ${JSON.stringify(new URL('../../../src/targets/database/postgres/client.ts', import.meta.url).href)}
      const { signal } = new AbortController()
      const client = await PostgresClient.connect({ connectionUrl: process.argv[1], mark: 'chaos-killed-r1-0', signal })
      await ${ask}`
    const worker = spawn(
      process.execPath,
      ['--import', './scripts/ts.mjs', '--input-type=module', '--eval', script, server.url()],
      {
        stdio: ['ignore', 'inherit', 'inherit'],
      },
    )
    const asking = async (): Promise<number> =>
      (
        await server.sql(`select from pg_stat_activity where application_name like 'chaos-killed-%' and query ~ 'pg_sleep\\('
        and state = 'active'`)
      ).length
    try {
      await until(async () => (await asking()) === 1, 60_000, 'the worker to ask')
    } finally {
      worker.kill('SIGKILL')
    }
    const killed = Date.now()
    await until(async () => (await asking()) === 0, SOON_MS, 'the query to end')
    t.diagnostic(`gone after ${Date.now() - killed} ms`)
    assert.ok(Date.now() - killed < SOON_MS)
  })
}

async function until(come: () => Promise<boolean>, ms: number, what: string): Promise<void> {
  for (const end = Date.now() + ms; !(await come());) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
