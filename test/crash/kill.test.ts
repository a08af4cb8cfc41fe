/** Worker, supervisor, or both killed with SIGKILL at random moments, again and again: nothing may be left behind. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { Chaos, signal } from '../e2e/chaos.ts'
import type { Running } from '../e2e/chaos.ts'
import { Application, connect, differences, readRows, SCHEMA, serverState } from '../e2e/world.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { seededRandom } from '../../src/core/random.ts'
import { seedOfCommit } from '../seed.ts'

/** 34 in CI, at other moments with every commit; fewer where somebody waits. */
const KILLS = Number(process.env['CHAOS_KILLS'] ?? 15)
const VICTIMS = ['worker', 'supervisor', 'both'] as const

let server: Postgres
let chaos: Chaos
let watcher: pg.Client

before(async () => {
  server = await startPostgres()
  await server.sql(SCHEMA)
  await server.sql(`alter system set maintenance_work_mem = '70MB'`)
  await server.sql('alter system set random_page_cost = 3')
  await server.sql('select pg_reload_conf()')
  chaos = new Chaos()
  watcher = await connect(server.url())
})

after(async () => {
  await watcher.end()
  await server.stop()
  chaos.remove()
})

test(
  `${KILLS} kills of worker, supervisor or both leave no row, setting, lock or session`,
  { timeout: 60 * 60_000 },
  async (t) => {
    const experiment = {
      name: 'kill me',
      target: 'database',
      target_config: { connection_url: server.url() },
      skills: [
        { skill_name: 'db.insert_load', params: { rows_per_table: 400, batch_rows: 150 } },
        { skill_name: 'db.update_load', params: { rows: 120 } },
        {
          skill_name: 'db.config_change',
          params: {
            changes: [
              { param: 'maintenance_work_mem', value: '71MB' },
              { param: 'work_mem', value: '5MB' },
            ],
          },
        },
        { skill_name: 'db.table_lock', params: { tables: ['plain'] } },
      ],
      duration: '500ms',
      limits: { percent: 100 },
    }
    const runConfig = chaos.config({ experiments: [experiment] })
    const daemonConfig = chaos.config({ experiments: [{ experiment, schedule: '0 0 3 1 1 *', enabled: true }] })
    const random = seededRandom(process.env['CHAOS_SEED'] ?? seedOfCommit())
    const fresh = await serverState(watcher)
    const application = await Application.connect(server.url())
    const counts = { residue: 0, tornApplies: 0, pendingAtKill: 0 }
    try {
      for (let n = 0; n < KILLS; n++) {
        application.start(15)
        const victim = VICTIMS[n % VICTIMS.length]!
        const run = chaos.start(['run', runConfig, '--json'])
        // One in four dies while it may still plan, the others once there is something to undo.
        await hit(run, victim, { phase: n % 4 === 0 ? undefined : 'apply', delay: random.int(2_600) }, counts)
        const told = await run.exit
        if (victim !== 'worker') await putBack(n % 2 === 0 ? ['recover', '--json'] : ['daemon', daemonConfig, '--json'])
        await application.pause()
        if (victim === 'worker') await sessionsGone(fresh.sessions.length)
        const left = [
          ...differences(application.model, await readRows(watcher)),
          ...stateDifferences(fresh, await serverState(watcher)),
          ...readdirSync(join(chaos.state, 'journal')).filter((name) => name.endsWith('.jsonl')),
          ...readdirSync(join(chaos.state, 'secrets')),
        ]
        counts.residue += left.length
        assert.deepEqual(left, [], `kill ${n} (${victim}) left something\n${told.out.slice(-6000)}\n${told.err}`)
      }
    } finally {
      await application.end()
    }
    assert.ok(counts.pendingAtKill >= KILLS / 4, `only ${counts.pendingAtKill} kills with steps to undo`)
    t.diagnostic(
      `${KILLS} kills (${counts.pendingAtKill} with steps to undo), ${application.edits} application edits: residue ${counts.residue}`,
    )
  },
)

interface Moment {
  /** Waited for; without it the start of the run. */
  phase: string | undefined
  /** From then on, milliseconds. */
  delay: number
}

async function hit(
  run: Running,
  victim: (typeof VICTIMS)[number],
  { phase, delay }: Moment,
  counts: { pendingAtKill: number },
): Promise<void> {
  await run
    .until((event) =>
      phase === undefined ? event.type === 'run.started' : event.type === 'run.phase' && event.phase === phase,
    )
    .catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, delay))
  const workers = chaos.holder()?.workers ?? []
  if (readdirSync(join(chaos.state, 'journal')).some((name) => name.endsWith('.jsonl'))) counts.pendingAtKill += 1
  if (victim !== 'supervisor') for (const worker of workers) signal(worker.pid, 'SIGKILL')
  if (victim !== 'worker') run.child.kill('SIGKILL')
}

/** A server looks each second whether the client is still there whom it works for. */
async function sessionsGone(before: number): Promise<void> {
  for (const end = Date.now() + 5_000; Date.now() < end;) {
    if ((await serverState(watcher)).sessions.length <= before) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** A recovery by hand, or a daemon start that is stopped as soon as it is ready. */
async function putBack(args: string[]): Promise<void> {
  const again = chaos.start(args)
  if (args[0] === 'daemon') {
    await again.until((event) => event.type === 'daemon.ready')
    again.child.kill('SIGTERM')
  }
  const { code, out, err } = await again.exit
  assert.equal(code, 0, `${args.join(' ')} ended with ${code}\n${out}\n${err}`)
}

function stateDifferences(
  before: Awaited<ReturnType<typeof serverState>>,
  now: Awaited<ReturnType<typeof serverState>>,
): string[] {
  return Object.keys(before).flatMap((key) => {
    const [a, b] = [before, now].map((state) => JSON.stringify(state[key as keyof typeof state]))
    return a === b ? [] : [`${key}: ${a} → ${b}`]
  })
}
