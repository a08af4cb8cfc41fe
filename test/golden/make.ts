/**
 * Makes golden journals of the format that this version writes: `node --import ./scripts/ts.mjs test/golden/make.ts`. Each skill is
 * run on a system of its own and its processes are killed during the soak; one more run, `every-record`, meets every kind of
 * trouble. Journals of a format that users may have are never made anew: only those that are not there yet are made, and
 * those of a new format in a folder of its own.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Target } from '../../src/core/target.ts'
import { application } from '../../src/targets/application/index.ts'
import { database } from '../../src/targets/database/index.ts'
import { prepare, runOn, START, WatchedWorld } from '../crash/disk-world.ts'
import { Chaos, signal } from '../e2e/chaos.ts'
import { SCHEMA } from '../e2e/world.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { diskError, watched } from '../fakes/disk.ts'
import { FAULTS, ShopProcess } from '../fakes/shop.ts'
import { SimulatedDisk } from '../fakes/simulated-disk.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import { nodeDisk } from '../../src/journal/disk.ts'
import { goldenName } from './name.ts'

const FOLDER = fileURLToPath(new URL('format-1', import.meta.url))
/** Of runs that have places. */
const PLACED = fileURLToPath(new URL('format-2', import.meta.url))

const PARAMS: Record<string, object> = {
  'db.insert_load': { tables: ['customers', 'plain'], rows_per_table: 20 },
  'db.update_load': { tables: ['customers', '"Order Lines"'], rows: 6 },
  'db.config_change': {
    changes: [
      { param: 'work_mem', value: '5MB' },
      { param: 'maintenance_work_mem', value: '71MB' },
    ],
  },
  'db.table_lock': { tables: ['audit'] },
}

mkdirSync(FOLDER, { recursive: true })
const isMissing = (name: string): boolean => !existsSync(join(FOLDER, `${name}.jsonl`))
const missing = (target: Target): string[] =>
  target.skills.filter((skill) => isMissing(goldenName(skill))).map(({ name }) => name)

if (missing(database).length > 0) {
  const server = await startPostgres()
  try {
    await server.sql(SCHEMA)
    const target_config = { connection_url: server.url() }
    for (const name of missing(database)) await makeKilled(name, PARAMS[name] ?? {}, database, target_config)
  } finally {
    await server.stop()
  }
}
if (missing(application).length > 0) {
  const dir = mkdtempSync(join(tmpdir(), 'chaos-golden-'))
  const shop = new ShopProcess({ socket: join(dir, 'one.sock') })
  try {
    await shop.healthy()
    const target_config = { app: 'shop', socket: join(dir, '*.sock') }
    for (const { skill, params } of FAULTS.filter(({ skill }) => isMissing(skill)))
      await makeKilled(skill, { ...params, components: ['pay', 'search'] }, application, target_config)
  } finally {
    await shop.kill()
    rmSync(dir, { recursive: true, force: true })
  }
}
if (isMissing('every-record')) await makeEveryRecord()
if (!existsSync(join(PLACED, 'places.jsonl'))) await makePlaced()
console.log([FOLDER, PLACED].flatMap((folder) => readdirSync(folder)).join('\n'))

async function makeKilled(skill: string, params: object, target: Target, target_config: object): Promise<void> {
  const chaos = new Chaos()
  try {
    const skills = [{ skill_name: skill, params }]
    const config = chaos.config({
      experiments: [{ name: skill, target: target.name, target_config, skills, duration: '5m' }],
    })
    const run = chaos.start(['run', config, '--json'])
    await run.until((event) => event.type === 'run.phase' && event.phase === 'soak')
    for (const { pid } of chaos.holder()?.workers ?? []) signal(pid, 'SIGKILL')
    run.child.kill('SIGKILL')
    await run.exit
    const [file = ''] = readdirSync(join(chaos.state, 'journal'))
    const { version = 1 } = target.skills.find(({ name }) => name === skill) ?? {}
    copyFileSync(join(chaos.state, 'journal', file), join(FOLDER, `${goldenName({ name: skill, version })}.jsonl`))
    await chaos.run(['recover'])
  } finally {
    chaos.remove()
  }
}

/** Two places, killed when the undo begins. */
async function makePlaced(): Promise<void> {
  const disk = new SimulatedDisk()
  await prepare(disk)
  const world = new WatchedWorld(START)
  world.places = ['p', 'q']
  let bytes: Buffer | undefined
  world.on('p quiesce', async ({ go }) => {
    bytes = await disk.readFile('/state/journal/r1.jsonl')
    await go()
  })
  await runOn(disk, world, 'r1', fakeExperiment([{ params: { keys: ['a'] } }, { skill_name: 'fake.hold', params: { keys: ['a'] } }])) // prettier-ignore
  mkdirSync(PLACED, { recursive: true })
  writeFileSync(join(PLACED, 'places.jsonl'), bytes ?? '')
}

/** Skipped, failed, kept, not undone, progress; and the disk fails under the undo. */
async function makeEveryRecord(): Promise<void> {
  const { StaleError } = await import('../../src/core/errors.ts')
  const disk = new SimulatedDisk()
  await prepare(disk)
  const world = new WatchedWorld(START)
  let failing = false
  world.on('apply a', () => Promise.reject(new StaleError('it is gone')))
  world.on('apply c', async ({ go }) => {
    await go()
    throw new Error('connection reset')
  })
  world.on('revert b', async ({ progress, go }) => {
    await progress({ done: 1 })
    failing = true
    await progress({ done: 2 })
    await go()
    world.values.set('b', 'of somebody else')
  })
  world.on('revert c', () => Promise.reject(new Error('permission denied')))
  const breaking = watched(disk, (op, path) => {
    if (failing && op === 'datasync' && path.endsWith('/r1.jsonl')) throw diskError('EIO')
  })
  await runOn(breaking, world, 'r1', fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }]))
  for (const [from, to] of [
    ['r1.jsonl', 'every-record.jsonl'],
    ['r1.2.jsonl', 'every-record.2.jsonl'],
  ] as const) {
    const bytes = await disk.readFile(`/state/journal/${from}`)
    await nodeDisk.remove(join(FOLDER, to))
    const file = await nodeDisk.open(join(FOLDER, to), 'create')
    await file.write(bytes, 0)
    await file.close()
  }
}
