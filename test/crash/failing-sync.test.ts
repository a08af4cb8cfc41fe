/** An error of fdatasync under the real command, from the kernel's side of the call: strace puts it there. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Report } from '../../src/core/report.ts'
import { Chaos } from '../e2e/chaos.ts'
import { differences, connect, readRows, SCHEMA } from '../e2e/world.ts'
import type pg from 'pg'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const MAIN = new URL('../../dist/main.js', import.meta.url).pathname

function whyNot(): string | false {
  if (process.platform !== 'linux') return 'needs Linux'
  return spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0 ? false : 'needs strace, and the right to trace'
}

const skip = whyNot()
let server: Postgres
let watcher: pg.Client

before(async () => {
  if (skip !== false) return
  server = await startPostgres()
  await server.sql(SCHEMA)
  watcher = await connect(server.url())
})
after(async () => {
  if (skip !== false) return
  await watcher.end()
  await server.stop()
})

/** The worker's syncs, in order: the ballast, the secret, run.started, step.planned, step.recorded… */
const PLACES: Record<number, string> = {
  4: 'the first step.planned',
  5: 'the first step.recorded',
  7: 'a later record',
}

for (const [when, what] of Object.entries(PLACES)) {
  test(
    `a sync that fails once under ${what} is never tried again on that file, and the run ends undone and recorded with exit code 5`,
    { skip, timeout: 120_000 },
    async (t) => {
      const chaos = new Chaos()
      t.after(() => chaos.remove())
      const rows = await readRows(watcher)
      const config = chaos.config({
        experiments: [
          {
            name: 'on a failing disk',
            target: 'database',
            target_config: { connection_url: server.url() },
            skills: [
              { skill_name: 'db.insert_load', params: { tables: ['customers'], rows_per_table: 50 } },
              { skill_name: 'db.update_load', params: { tables: ['"Order Lines"'], rows: 5 } },
              { skill_name: 'db.table_lock', params: { tables: ['audit'] } },
            ],
            duration: '200ms',
          },
        ],
      })
      const log = join(chaos.dir, 'strace')
      // `when` counts per thread: one thread does all the work on files.
      const { status, stdout, stderr } = spawnSync(
        'strace',
        [
          '-f',
          '-y',
          '-o',
          log,
          '-e',
          'trace=fdatasync',
          '-e',
          `inject=fdatasync:error=EIO:when=${when}`,
          process.execPath,
          MAIN,
          'run',
          config,
          '--json',
        ],
        {
          encoding: 'utf8',
          env: { ...process.env, CHAOS_STATE_DIR: chaos.state, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' },
        },
      )
      assert.equal(status, 5, stdout + stderr)
      const report = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Report
      assert.deepEqual([report.residue, report.outcome], [[], 'failed'])
      assert.match(report.reason ?? '', /cannot write the journal .*\.jsonl: EIO/)
      assert.deepEqual(differences(rows, await readRows(watcher)), [])
      assert.deepEqual([readdirSync(join(chaos.state, 'journal')), readdirSync(join(chaos.state, 'secrets'))], [[], []])
      const syncs = readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line.includes('/journal/'))
      const failed = syncs.findIndex((line) => line.includes('(INJECTED)'))
      assert.ok(failed >= 0, 'it has hit the journal')
      const later = syncs.slice(failed + 1)
      assert.ok(later.length > 2 && later.every((line) => line.includes(`.2.jsonl`)), syncs.join('\n'))
    },
  )
}
