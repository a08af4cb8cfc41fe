/** An application killed with SIGKILL and started anew at any request of a run, in every phase: the points name themselves. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import type { EventBody } from '../../src/core/events.ts'
import { seededRandom } from '../../src/core/random.ts'
import type { Report } from '../../src/core/report.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { applicationClient } from '../../src/targets/application/client.ts'
import { config } from '../../src/targets/application/config.ts'
import { application } from '../../src/targets/application/index.ts'
import { experimentOf } from '../crash/matrix.ts'
import { seedOfCommit } from '../seed.ts'
import { ShopProcess } from '../fakes/shop.ts'
import { hookHttp } from '../crash/seams.mjs'

/** Of each phase. */
const KILLS = Number(process.env['CHAOS_RESTARTS'] ?? 2)
const PHASES = ['connect', 'discover', 'claim', 'apply', 'soak', 'quiesce', 'rollback'] as const

const dir = mkdtempSync(join(tmpdir(), 'chaos-restarts-'))
const target_config = config.parse({ app: 'shop', socket: join(dir, '*.sock') })
const world = {
  target: 'application',
  target_config,
  // Held for long enough to be renewed once.
  params: () => ({ error_code: 503, components: ['pay'], lease: '1s' }),
  soakMs: () => 500,
}
const { request } = http

let state: StateDir
let shop: ShopProcess
let restarting: Promise<void> | undefined
let point: (name: string) => void = () => undefined

before(async () => {
  state = await openStateDir(join(dir, 'state'))
  shop = startShop()
  await shop.healthy()
  hookHttp((name) => point(name))
})
after(async () => {
  http.request = request
  syncBuiltinESMExports()
  await shop.kill()
  rmSync(dir, { recursive: true, force: true })
})

function startShop(): ShopProcess {
  return new ShopProcess({ socket: join(dir, 'one.sock'), pause_ms: 5 })
}

let runs = 0

/** One run; the application dies when it comes to `at`, and is started again under the same name at once. */
async function attempt(at?: string): Promise<{ report: Report; passed: string[] }> {
  const run = `r${++runs}`
  const passed: string[] = []
  const counts = new Map<string, number>()
  let phase = 'connect'
  point = (name) => {
    const count = (counts.get(`${phase} ${name}`) ?? 0) + 1
    counts.set(`${phase} ${name}`, count)
    const here = `${phase}: ${name} #${count}`
    passed.push(here)
    if (here !== at) return
    // At once: what is on its way is not waited for.
    const gone = shop.kill()
    restarting = gone.then(async () => {
      shop = startShop()
      await shop.healthy()
    })
  }
  const emit = (event: EventBody): void => {
    if (event.type === 'run.phase') phase = event.phase
  }
  const common = { run, target: application, ...state, clock: systemClock, signal: new AbortController().signal, emit }
  const experiment = experimentOf('app.error', world)
  let report = await runExperiment({
    ...{ ...common, experiment, seed: 'restarts' },
    claim: () => Promise.resolve({ waited: false }),
  })
  point = () => undefined
  await restarting
  restarting = undefined
  // What the run itself could not finish while nobody answered, the next recovery does.
  if ((await state.runs.list()).length > 0)
    report = await recoverRun({ ...common, targetConfigs: [target_config], noProgressMs: 30_000 })
  return { report, passed }
}

async function leftovers(): Promise<string[]> {
  const client = applicationClient(target_config)
  const { instances } = await client.look(AbortSignal.timeout(10_000))
  const leases = await Promise.all(instances.map(({ address }) => client.leases(address, AbortSignal.timeout(10_000))))
  return [
    ...(instances.length === 1 ? [] : [`${instances.length} instances`]),
    ...leases.flat().flatMap(({ mark, in_force }) => (in_force ? [mark] : [])),
    ...(await state.runs.list()).map((journal) => state.runs.where(journal.run)),
  ]
}

test(
  `an application killed and started again at ${KILLS} requests of every phase leaves no lease and no open run`,
  { timeout: 30 * 60_000 },
  async (t) => {
    const seed = process.env['CHAOS_SEED'] ?? seedOfCommit()
    const random = seededRandom(`${seed}/restarts`)
    const { report, passed } = await attempt()
    assert.deepEqual([report.outcome, report.steps[0]?.observed?.missing], ['completed', 0], report.reason)
    const outcomes: Record<string, number> = {}
    let missed = 0
    for (const phase of PHASES) {
      const points = passed.filter((name) => name.startsWith(`${phase}: `))
      assert.ok(points.length > 0, `no request in ${phase}`)
      for (const at of random.shuffle(points).slice(0, KILLS)) {
        const before = shop
        const crash = await attempt(at)
        if (before === shop) missed++
        await shop.healthy()
        assert.deepEqual([crash.report.residue, await leftovers()], [[], []], `killed in ${at}, seed ${seed}`)
        outcomes[crash.report.outcome] = (outcomes[crash.report.outcome] ?? 0) + 1
      }
    }
    t.diagnostic(`${passed.length} points, runs ended ${JSON.stringify(outcomes)}, ${missed} not reached`)
  },
)
