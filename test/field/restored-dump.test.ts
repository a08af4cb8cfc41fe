/** D1: a run is killed in its soak, a dump is restored over its table, customers sign up, and only then comes `chaos recover`. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { Chaos, signal } from '../e2e/chaos.ts'
import { debianPostgresMissing, startDebianPostgres } from '../labs/debian-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const skip = debianPostgresMissing()
const SIGN_UPS = 60

describe('D1: a dump that is restored over the table of a killed run', { skip }, () => {
  let server: Postgres
  let chaos: Chaos
  let bin: string
  before(async () => {
    server = await startDebianPostgres()
    const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a))
    bin = join('/usr/lib/postgresql', versions[0] ?? '', 'bin')
  })
  after(() => server.stop())
  beforeEach(async () => {
    chaos = new Chaos()
    await server.sql('drop table if exists customer')
    await server.sql('create table customer (id bigserial primary key, name text not null)')
    await server.sql(`insert into customer (name) select 'real ' || g from generate_series(1, 100) g`)
  })
  afterEach(() => chaos.remove())

  const tool = (name: string, ...args: string[]): void =>
    void execFileSync(join(bin, name), args, { timeout: 60_000, stdio: ['ignore', 'pipe', 'pipe'] })
  const names = async (): Promise<string[]> =>
    (await server.sql('select name from customer order by id')).map((row) => String(row['name']))

  /** Restores the dump and has customers sign up, as an administrator does it; recovers; gives what is there then. */
  async function killed(when: 'before the run' | 'in the soak', restore: (file: string) => void, format: string) {
    const file = join(chaos.dir, 'dump')
    const save = (): void => tool('pg_dump', '--clean', `--format=${format}`, `--file=${file}`, server.url())
    if (when === 'before the run') save()
    const experiment = {
      ...{ name: 'sign-ups', target: 'database', target_config: { connection_url: server.url() } },
      skills: [{ skill_name: 'db.insert_load', params: { tables: ['customer'], rows_per_table: 50 } }],
      ...{ duration: '10m', limits: { percent: 100 } },
    }
    const config = chaos.config({ experiments: [experiment] })
    const run = chaos.start(['run', config, '--json'])
    await run.until((event) => event.type === 'run.phase' && event.phase === 'soak')
    if (when === 'in the soak') save()
    const pids = [run.child.pid, ...(chaos.holder()?.workers ?? []).map(({ pid }) => pid)]
    for (const pid of pids) signal(pid, 'SIGKILL')
    await run.exit
    restore(file)
    for (let i = 1; i <= SIGN_UPS; i++) await server.sql(`insert into customer (name) values ('sign-up ${i}')`)
    return chaos.run(['recover'])
  }

  const right = [
    ...Array.from({ length: 100 }, (_, i) => `real ${i + 1}`),
    ...Array.from({ length: SIGN_UPS }, (_, i) => `sign-up ${i + 1}`),
  ]
  const WAYS: Readonly<Record<string, [format: string, restore: (file: string) => void]>> = {
    'pg_restore --clean': ['custom', (file) => tool('pg_restore', '--clean', `--dbname=${server.url()}`, file)],
    'psql of a plain dump': [
      'plain',
      (file) => tool('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', file, server.url()),
    ],
  }
  for (const [how, [format, restore]] of Object.entries(WAYS)) {
    test(`${how}, of a dump from before: ${SIGN_UPS} sign-ups under our keys all stay`, async () => {
      const { code, out, err } = await killed('before the run', restore, format)
      assert.deepEqual(await names(), right, `${out}\n${err}`)
      assert.equal(code, 0, `${out}\n${err}`)
    })
    test(`${how}, of a dump with our rows in it: they go, and the sign-ups stay`, async () => {
      const { code, out, err } = await killed('in the soak', restore, format)
      assert.deepEqual(await names(), right, `${out}\n${err}`)
      assert.equal(code, 0, `${out}\n${err}`)
    })
  }
})
