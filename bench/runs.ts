/** What a run costs besides what it does: its processor time, and how soon a daemon that was killed is ready again. */
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { startPostgres } from '../scripts/embedded-postgres.ts'
import type { Postgres } from '../scripts/embedded-postgres.ts'
import { interleave } from './measure.ts'
import type { Comparison } from './measure.ts'
import { childrenOf, ended, MAIN, node } from './processes.ts'
import { withFolder } from './temporary.ts'

const BARE = ['-e', '0']
/** Linux counts in hundredths of a second: so many bare processes are counted together. */
const BARE_AT_ONCE = 4
const CPU_ROUNDS = 9
const KILL_ROUNDS = 5

/** Two months off: nothing is due while we measure. */
const NEVER = `0 0 0 1 ${((new Date().getUTCMonth() + 2) % 12) + 1} *`

export async function runs(): Promise<Comparison[]> {
  const postgres = await startPostgres()
  try {
    await postgres.sql('create table looked_at (id int primary key)')
    return await withFolder(async (folder) => [await processorTime(folder, postgres), await ready(folder, postgres)])
  } finally {
    await postgres.stop()
  }
}

async function processorTime(folder: string, postgres: Postgres): Promise<Comparison> {
  const config = await configOf(folder, postgres, '{skill_name: db.table_lock, params: {tables: [looked_at]}}')
  const state = ['--state-dir', join(folder, 'state')]
  const { looking, whole, bare } = await interleave(
    {
      looking: () => spentBy([MAIN, 'run', '--dry-run', config, ...state]),
      whole: () => spentBy([MAIN, 'run', config, ...state]),
      bare: async () => {
        let spent = 0
        for (let i = 0; i < BARE_AT_ONCE; i++) spent += await spentBy(BARE)
        return spent / BARE_AT_ONCE
      },
    },
    { rounds: CPU_ROUNDS, budgetMs: 60_000 },
  )
  return {
    title: 'runs: processor time of all processes of a run that changes nothing (run --dry-run)',
    unit: 'ms',
    better: 'lower',
    ours: { label: 'connects, looks and plans', values: looking },
    peers: [
      { label: 'bare node -e 0', values: bare },
      { label: 'a run that locks one empty table for 1 ms', values: whole },
    ],
    meaning: 'What two processes cost: each loads what it needs of the program, and one of them a driver.',
  }
}

/** Milliseconds of processor time of a command and of all processes that it has waited for. */
async function spentBy(args: readonly string[]): Promise<number> {
  const before = ofChildren()
  await ended(node(args, { stdio: 'ignore' }))
  return ofChildren() - before
}

/** Of the processes that this one has waited for, and theirs. */
function ofChildren(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? []
  return 10 * (Number(fields[13]) + Number(fields[14]))
}

async function ready(folder: string, postgres: Postgres): Promise<Comparison> {
  const config = await configOf(
    folder,
    postgres,
    '{skill_name: db.config_change, params: {changes: [{param: work_mem, value: 5MB}]}}',
    '1h',
  )
  const { killed, start } = await interleave(
    {
      killed: async () => {
        const state = await killedIn(folder, config)
        const begun = performance.now()
        const daemon = node([MAIN, 'daemon', config, '--json', '--state-dir', state], PIPED)
        const took = await until(daemon, 'daemon.ready', begun)
        daemon.kill('SIGTERM')
        await ended(daemon)
        await rm(state, { recursive: true })
        return took
      },
      start: async () => {
        const state = join(folder, 'state')
        const begun = performance.now()
        const run = node([MAIN, 'run', '--dry-run', config, '--json', '--state-dir', state], PIPED)
        run.stdout?.resume()
        await ended(run)
        return performance.now() - begun
      },
    },
    { rounds: KILL_ROUNDS, budgetMs: 60_000 },
  )
  return {
    title: 'runs: from the start of a daemon whose run was killed with kill -9 until it is undone and the daemon ready',
    unit: 'ms',
    better: 'lower',
    ours: { label: 'daemon with one run to undo', values: killed },
    peers: [{ label: 'a run that changes nothing (run --dry-run), from its start to its end', values: start }],
    meaning: 'How long a setting stays broken after a crash, once the service manager has started us again.',
  }
}

const PIPED = { stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'] }

/** A state folder whose run was killed, with all its processes, while its fault was in place. */
async function killedIn(folder: string, config: string): Promise<string> {
  const state = join(folder, 'killed')
  const run = node([MAIN, 'run', config, '--json', '--state-dir', state], PIPED)
  await until(run, 'step.applied', 0)
  for (const pid of [run.pid ?? 0, ...(await childrenOf(run.pid ?? 0))]) process.kill(pid, 'SIGKILL')
  return state
}

/** Milliseconds from `begun` until it has told an event of that type. */
async function until(child: ChildProcess, type: string, begun: number): Promise<number> {
  for await (const line of createInterface({ input: child.stdout as Readable })) {
    if ((JSON.parse(line) as { type: string }).type !== type) continue
    const took = performance.now() - begun
    child.stdout?.resume()
    return took
  }
  throw new Error(`${child.spawnargs.slice(2).join(' ')} ended without ${type}`)
}

async function configOf(folder: string, postgres: Postgres, skill: string, duration = '1ms'): Promise<string> {
  const file = join(folder, `${duration}.yaml`)
  await writeFile(
    file,
    `experiments:
  - name: bench
    target: database
    target_config: {connection_url: "${postgres.url()}"}
    skills: [${skill}]
    duration: ${duration}
    schedule: "${NEVER}"
`,
  )
  return file
}
