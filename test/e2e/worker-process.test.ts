/** F12, F17: what a worker is given: a bound for its heap, and of the environment only what it needs. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { Chaos } from './chaos.ts'

let server: Postgres
let chaos: Chaos

before(async () => {
  server = await startPostgres()
  await server.sql('create table things (id serial primary key, label text)')
  chaos = new Chaos()
})
after(async () => {
  chaos.remove()
  await server.stop()
})

test(
  'a worker has a bounded heap and no secret in its environment, and SIGUSR1 opens no inspector',
  { timeout: 5 * 60_000 },
  async (t) => {
    const skill = { skill_name: 'db.insert_load', params: { tables: ['things'], rows_per_table: 2_000 } }
    const target = { name: 'load', target: 'database', target_config: { connection_url: server.url() }, duration: '5m' }
    const config = chaos.config({ experiments: [{ ...target, skills: [skill] }] })
    const run = chaos.start(['run', config, '--json'], { DATABASE_PASSWORD: 'hunter2', CHAOS_TOKEN: 'hunter2' })
    await run.until((event) => event.type === 'run.phase' && event.phase === 'soak')
    const [worker] = chaos.holder()?.workers ?? []
    assert.ok(worker)
    const read = (name: string): string => readFileSync(`/proc/${worker.pid}/${name}`, 'utf8')
    assert.match(read('cmdline'), /--max-old-space-size=\d+/)
    assert.doesNotMatch(read('environ'), /hunter2/)
    assert.match(read('environ'), /(^|\0)PATH=/)
    t.diagnostic(`the worker of 2,000 rows: ${/VmHWM:.*/.exec(read('status'))?.[0]}`)
    run.child.kill('SIGUSR1')
    process.kill(worker.pid, 'SIGUSR1')
    run.child.kill('SIGINT')
    const { code, err } = await run.exit
    assert.equal(code, 130)
    assert.doesNotMatch(err, /Debugger listening/)
  },
)
