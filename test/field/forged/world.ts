/** Where forged state folders are tried: a server with a stranger's code on it, and what must not be run, ended or asked. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { systemClock } from '../../../src/core/clock.ts'
import { RefusedError } from '../../../src/core/errors.ts'
import type { Target } from '../../../src/core/target.ts'
import { recoverRun } from '../../../src/engine/recover.ts'
import { runExperiment } from '../../../src/engine/run.ts'
import { mintRun } from '../../../src/journal/names.ts'
import { openStateDir } from '../../../src/journal/state-dir.ts'
import type { StateDir } from '../../../src/journal/state-dir.ts'
import { database } from '../../../src/targets/database/index.ts'
import { experimentOf } from '../../crash/matrix.ts'
import { startHostile } from '../hostile.ts'
import type { Bait } from './words.ts'

export interface ForgedWorld {
  bait: Bait
  /** Of everything that runs here; removed at the end. */
  folder: string
  /** A journal and its secret of each skill, as they were written. */
  real: readonly { skill: string; run: string; install: string; journal: Buffer; secret: unknown }[]
  /** What was run, ended, asked or changed since the last look. */
  harm(): Promise<string[]>
  stop(): Promise<void>
}

const TABLES = `
  create table things (id int primary key, name text, amount int, at timestamptz);
  insert into things select i, 'thing ' || i, i, timestamptz '2020-01-01' + i * interval '1 day' from generate_series(1, 40) i;
  create table pairs (a int, b int, note text, primary key (a, b));
  insert into pairs select i, i + 1, 'pair ' || i from generate_series(1, 20) i;
  create table strangers (id int primary key, name text, amount int, at timestamptz);
  insert into strangers select i, 'thing ' || i, i, now() from generate_series(1, 200) i;
  alter system set maintenance_work_mem = '70MB';
  alter system set archive_command = 'false'`

/** Of mallory: a table that reads like ours, and whatever can call a function of hers. */
const HERS = `
  create function m.eq(a text, b text) returns boolean language plpgsql immutable as $$ begin perform m.tell('eq'); return a = b; end $$;
  create operator m.=== (leftarg = int, rightarg = int, function = m.same);
  create operator m.= (leftarg = text, rightarg = text, function = m.eq);
  create domain m.evil as text check (m.ok(value));
  create table m.things (id int primary key, name text check (m.ok(name)), amount int, at timestamptz);
  insert into m.things select i, 'thing ' || i, i, now() from generate_series(1, 40) i;
  create index on m.things (m.bad(amount));
  create trigger t before update or delete on m.things for each row execute function m.fire();
  create trigger s before update or delete on m.things for each statement execute function m.fire()`

const PARAMS: Record<string, Record<string, unknown>> = {
  'db.insert_load': { tables: ['things', 'pairs'], rows_per_table: 6 },
  'db.update_load': { tables: ['things', 'pairs'], rows: 8 },
  'db.config_change': {
    changes: [
      { param: 'maintenance_work_mem', value: '71MB' },
      { param: 'work_mem', value: '5MB' },
    ],
  },
  'db.table_lock': { tables: ['things'] },
}

export async function forgedWorld(): Promise<ForgedWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-forged-'))
  // The server runs as another user: its commands leave their mark here, too.
  const open = join(folder, 'open')
  mkdirSync(open)
  chmodSync(folder, 0o755)
  chmodSync(open, 0o1777)
  const canary = join(open, 'canary')
  const hostile = await startHostile()
  const { server } = hostile
  await hostile.fresh()
  await hostile.mallory(HERS)
  for (const one of TABLES.split(';')) await server.sql(one)
  await server.sql('select pg_reload_conf()')
  const session = new pg.Client({ connectionString: server.url(), application_name: 'billing' })
  session.on('error', () => undefined)
  await session.connect()
  const self = await session.query<{ pid: string; start: string }>(
    'select pid::text, backend_start::text as start from pg_stat_activity where pid = pg_backend_pid()',
  )
  const [named] = await server.sql(`select 'strangers'::regclass::oid::text as oid`)
  const victim = spawn('sleep', ['3600'], { stdio: 'ignore' })
  let asked = 0
  const trap = createServer((socket) => {
    asked++
    socket.on('error', () => undefined).destroy()
  })
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve))
  const bait: Bait = {
    ...{ canary, trap: (trap.address() as AddressInfo).port, url: server.url(), oid: String(named?.['oid']) },
    victim: { pid: victim.pid ?? 0, start: startOf(victim) },
    session: { pid: self.rows[0]?.pid ?? '', start: self.rows[0]?.start ?? '', name: 'billing' },
  }
  const real = []
  for (const { name } of database.skills) real.push(await realJournal(name, server.url(), folder))
  // Not the session that could be ended.
  const observer = new pg.Client({ connectionString: server.url(), application_name: 'observer' })
  observer.on('error', () => undefined)
  await observer.connect()
  const picture = async (): Promise<unknown> => (await observer.query(PICTURE)).rows
  const before = JSON.stringify(await picture())
  hostile.callsAs('postgres')
  return {
    bait,
    folder,
    real,
    async harm() {
      const found = hostile.callsAs('postgres').map((line) => `her code has run: ${line.trim()}`)
      if (existsSync(canary)) found.push('a command has run')
      rmSync(canary, { force: true })
      if (victim.exitCode !== null || victim.signalCode !== null) found.push('a process of others was ended')
      if (asked > 0) found.push(`another server was asked ${asked} times`)
      asked = 0
      const there = await session.query('select 1').catch((error: unknown) => String(error))
      if (typeof there === 'string') found.push(`a session of others was ended: ${there}`)
      const now = JSON.stringify(await picture())
      if (now !== before) found.push(`rows or settings of others are not as before: ${now} and not ${before}`)
      if (Object.hasOwn(Object.prototype, 'polluted')) found.push('the prototype of all objects was changed')
      return found
    },
    async stop() {
      victim.kill('SIGKILL')
      trap.close()
      for (const client of [session, observer]) await client.end().catch(() => undefined)
      await hostile.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const PICTURE = `select
  (select md5(string_agg(t::text, '|' order by id)) from things t) as things, (select md5(string_agg(t::text, '|' order by a)) from pairs t) as pairs,
  (select md5(string_agg(t::text, '|' order by id)) from strangers t) as strangers, (select md5(string_agg(t::text, '|' order by id)) from m.things t) as hers,
  (select string_agg(name || '=' || setting, ' ' order by name) from pg_file_settings where sourcefile like '%auto.conf') as settings,
  (select count(*)::int from pg_largeobject_metadata) as objects, (select string_agg(rolname, ' ' order by rolname) from pg_roles where rolsuper) as superusers`

/** Its undo is refused: so what it would need stays. Then it is undone, and the journal is of what is over. */
async function realJournal(skill: string, url: string, folder: string): Promise<ForgedWorld['real'][number]> {
  const left = await leftRun(skill, PARAMS[skill] ?? {}, url, join(folder, `real-${skill}`))
  const { state, run } = left
  const journal = readFileSync(state.runs.where(run))
  const secret = await state.secrets.read(run)
  const residue = await left.recover()
  if (residue.length > 0) throw new Error(`${skill} is not undone: ${JSON.stringify(residue)}`)
  return { skill, run, install: state.install, journal, secret }
}

export interface LeftRun {
  state: StateDir
  run: string
  outcome: string
  /** What is still not undone afterwards. */
  recover(): Promise<object[]>
}

/** A run whose undo was refused: its journal, its secret and what it has changed are there. */
export async function leftRun(skill: string, params: object, url: string, stateDir: string): Promise<LeftRun> {
  const impossible: Target = {
    ...database,
    async connect(config, options) {
      const agent = await database.connect(config, options)
      const refuse = (): Promise<never> => Promise.reject(new RefusedError('REFUSED_UNSUITABLE', 'not now'))
      return { ...agent, revert: refuse, quiesce: () => Promise.resolve() }
    },
  }
  const state = await openStateDir(stateDir, { ballastBytes: 4096 })
  const run = mintRun(Date.now())
  const stop = new AbortController()
  const target_config = { connection_url: url, db_type: 'postgres', schemas: [] }
  const world = { target: 'database', target_config, params: () => ({ ...params }), soakMs: () => 60_000 }
  const usual = experimentOf(skill, world)
  const limits = { rows: 10_000, resources: 500, percent: 100, duration_ms: 60_000 }
  const experiment = { ...usual, safety: { ...usual.safety, limits } }
  const report = await runExperiment({
    ...{ experiment, target: impossible, ...state, run, seed: 'forged', clock: systemClock },
    ...{ signal: stop.signal, claim: () => Promise.resolve({ waited: false }) },
    emit: (event) => {
      if (event.type === 'run.phase' && event.phase === 'soak') stop.abort(new Error('enough'))
    },
  })
  return {
    ...{ state, run, outcome: `${report.outcome}: ${report.reason ?? ''}` },
    async recover() {
      const recovered = await recoverRun({
        ...{
          ...state,
          run,
          target: database,
          targetConfigs: [target_config],
          clock: systemClock,
          noProgressMs: 30_000,
        },
        ...{ signal: new AbortController().signal, emit: () => undefined },
      })
      return recovered.residue
    },
  }
}

function startOf({ pid }: ChildProcess): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

/** Runs a script as a person would, with the password of nobody and no other server's. Always ends. */
export function runScript(file: string, shell: string): string {
  const { stdout, stderr } = spawnSync(shell, ['-e', file], {
    ...{ encoding: 'utf8', timeout: 20_000, stdio: ['ignore', 'pipe', 'pipe'] },
    env: { ...process.env, PGPASSWORD: 'nobody', PGCONNECT_TIMEOUT: '2' },
  })
  return `${stdout}${stderr}`
}
