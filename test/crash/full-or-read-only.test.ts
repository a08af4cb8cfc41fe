/** The real command where the disk of its state folder has become full, or read-only, after its processes were killed. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import type pg from 'pg'
import { Chaos, signal } from '../e2e/chaos.ts'
import { connect, differences, readRows, SCHEMA } from '../e2e/world.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root to mount a file system'
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

/** A run whose processes were killed during its soak, with its state folder on a small disk of its own. */
async function killed(t: TestContext) {
  const chaos = new Chaos()
  mkdirSync(chaos.state)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', chaos.state])
  t.after(() => {
    execFileSync('umount', [chaos.state])
    chaos.remove()
  })
  const rows = await readRows(watcher)
  const experiment = {
    name: 'killed',
    target: 'database',
    target_config: { connection_url: server.url() },
    skills: [
      { skill_name: 'db.insert_load', params: { tables: ['customers'], rows_per_table: 50 } },
      { skill_name: 'db.update_load', params: { tables: ['"Order Lines"'], rows: 5 } },
    ],
    duration: '5m',
  }
  const config = chaos.config({ experiments: [experiment] })
  const run = chaos.start(['run', config, '--json'])
  await run.until((event) => event.type === 'run.phase' && event.phase === 'soak')
  for (const { pid } of chaos.holder()?.workers ?? []) signal(pid, 'SIGKILL')
  run.child.kill('SIGKILL')
  await run.exit
  assert.notDeepEqual(differences(rows, await readRows(watcher)), [])
  return { chaos, config, left: async () => differences(rows, await readRows(watcher)) }
}

test(
  'on a read-only disk recover undoes what a crash left, a new run is refused with 5, and the run ends once it can be written',
  { skip, timeout: 120_000 },
  async (t) => {
    const { chaos, config, left } = await killed(t)
    execFileSync('mount', ['-o', 'remount,ro', chaos.state])
    const refused = await chaos.run(['run', config])
    assert.deepEqual([refused.code, /read-only.*--state-dir/.test(refused.err)], [5, true], refused.err)
    assert.equal((await chaos.run(['status'])).code, 4)
    assert.equal((await chaos.run(['recover', '--dry-run'])).code, 4)
    const recovered = await chaos.run(['recover'])
    assert.deepEqual([recovered.code, await left()], [5, []], recovered.out + recovered.err)
    assert.match((await chaos.run(['status'])).out, /not undone/)
    execFileSync('mount', ['-o', 'remount,rw', chaos.state])
    const again = await chaos.run(['recover'])
    assert.deepEqual([again.code, await left()], [0, []], again.out + again.err)
    assert.match((await chaos.run(['status'])).out, /nothing is left to undo/)
  },
)

test(
  'on a full disk recover undoes what a crash left and records it; a new run is refused with 5 until there is room',
  { skip, timeout: 120_000 },
  async (t) => {
    const { chaos, config, left } = await killed(t)
    const somebody = join(chaos.state, 'somebody')
    fill(somebody)
    const recovered = await chaos.run(['recover'])
    assert.deepEqual([await left(), recovered.code], [[], 0], recovered.out + recovered.err)
    assert.match((await chaos.run(['status'])).out, /nothing is left to undo/)
    fill(`${somebody}-else`)
    const refused = await chaos.run(['run', config])
    assert.deepEqual([refused.code, await left()], [5, []], refused.out + refused.err)
    assert.match(refused.out + refused.err, /no run begins without|no space left/)
  },
)

test(
  'on a full disk whose ballast is used up recover undoes all the same, and the run ends once there is room',
  { skip, timeout: 120_000 },
  async (t) => {
    const { chaos, left } = await killed(t)
    const somebody = join(chaos.state, 'somebody')
    rmSync(join(chaos.state, 'ballast'))
    fill(somebody)
    const recovered = await chaos.run(['recover'])
    assert.deepEqual([await left(), recovered.code], [[], 5], recovered.out + recovered.err)
    rmSync(somebody)
    assert.equal((await chaos.run(['recover'])).code, 0)
    assert.match((await chaos.run(['status'])).out, /nothing is left to undo/)
  },
)

function fill(file: string): void {
  for (let size = 2 ** 20; size >= 1; size = Math.floor(size / 2)) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' })
    } catch {
      // Not for so many bytes.
    }
  }
}
