/** Memory of a whole `chaos run`: inserting and undoing a million rows beside ten thousand. It must stay flat. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres } from '../scripts/embedded-postgres.ts'
import type { Postgres } from '../scripts/embedded-postgres.ts'
import { interleave } from './measure.ts'
import type { Comparison } from './measure.ts'
import { childrenOf, ended, MAIN, memoryOf, node } from './processes.ts'
import { withFolder } from './temporary.ts'

const FEW = 10_000
const MANY = 1_000_000
const ROUNDS = 2
const LOOK_MS = 10

/** Megabytes, each process at its own highest. */
export interface Peaks {
  supervisor: number
  worker: number
}

export async function memory(): Promise<Comparison[]> {
  const { few, many } = await measureMemory(ROUNDS)
  const compare = (process: keyof Peaks): Comparison => ({
    title: `memory: the ${process} of one run, ${MANY.toLocaleString('en-US')} rows beside ${FEW.toLocaleString('en-US')}`,
    unit: 'MB',
    better: 'lower',
    ours: { label: 'many rows', values: many.map((peaks) => peaks[process]) },
    peers: [{ label: 'few rows', values: few.map((peaks) => peaks[process]) }],
    meaning: 'A run holds neither its rows nor its journal in memory: 1 is flat, above 1.5 is a mistake.',
  })
  return [compare('worker'), compare('supervisor')]
}

/** Peak memory of so many runs with few and with many rows, in turn, on a server of its own. Takes about 20 s a round. */
export async function measureMemory(rounds: number): Promise<{ few: Peaks[]; many: Peaks[] }> {
  return withFolder(async (folder) => {
    const postgres = await startPostgres()
    try {
      await postgres.sql(
        `create table load (id bigint generated always as identity primary key, email text not null, name varchar(60),
           amount numeric(10, 2) not null, active boolean, created_at timestamptz not null default now())`,
      )
      return await interleave(
        { few: () => peaksOfRun(folder, postgres, FEW), many: () => peaksOfRun(folder, postgres, MANY) },
        { rounds, warmUp: false },
      )
    } finally {
      await postgres.stop('immediate')
    }
  })
}

async function peaksOfRun(folder: string, postgres: Postgres, rows: number): Promise<Peaks> {
  const config = join(folder, `${rows}.yaml`)
  await writeFile(
    config,
    `experiments:
  - name: insert-${rows}
    target: database
    target_config: {connection_url: "${postgres.url()}"}
    limits: {rows: ${rows}}
    skills: [{skill_name: db.insert_load, params: {tables: [load], rows_per_table: ${rows}}}]
    duration: 1s
`,
  )
  const child = node([MAIN, 'run', config, '--state-dir', join(folder, 'state')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const peaks: Peaks = { supervisor: 0, worker: 0 }
  const looking = look(child.pid ?? -1, peaks)
  await ended(child)
  await looking
  const [left] = await postgres.sql('select count(*)::int as rows from load')
  if (left?.['rows'] !== 0) throw new Error(`${String(left?.['rows'])} of ${rows} rows were not undone`)
  // What one run leaves in the table's file must not slow the next one.
  await postgres.sql('truncate load')
  return peaks
}

/** Watches a supervisor and its workers until they are gone. The kernel keeps the peak; it only has to be read before the end. */
async function look(pid: number, peaks: Peaks): Promise<void> {
  for (;;) {
    const supervisor = await memoryOf(pid, 'VmHWM')
    if (supervisor === undefined) return
    peaks.supervisor = supervisor
    for (const worker of await childrenOf(pid)) {
      peaks.worker = Math.max(peaks.worker, (await memoryOf(worker, 'VmHWM')) ?? 0)
    }
    await sleep(LOOK_MS)
  }
}
