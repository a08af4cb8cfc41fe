import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { systemClock } from '../../src/core/clock.ts'
import { CodedError } from '../../src/core/errors.ts'
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import { defineTarget } from '../../src/core/target.ts'
import { LocalClaims } from '../../src/supervisor/claims.ts'
import { noLock } from '../../src/supervisor/lock.ts'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import type { SupervisorOptions } from '../../src/supervisor/supervisor.ts'
import { startWorker } from '../../src/supervisor/worker-process.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { Runs } from '../../src/journal/runs.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { planned, started } from '../journal/helpers.ts'
import { folder } from './helpers.ts'

const MAIN = fileURLToPath(new URL('../fakes/worker.mjs', import.meta.url))
// Workers inherit these; ours is plain JavaScript and starts ten times as fast without them.
process.execArgv = []

/** What the worker of `test/fakes/worker.mjs` is told by target_config. */
interface Orders {
  url: string
  do?:
    'finish' | 'die' | 'break and die' | 'finish and die' | 'break and say 5' | 'hold a claim' | 'obey' | 'never obey'
  recover?: 'undo' | 'fail' | 'leave residue' | 'hang until told'
  /** What it claims. */
  key?: string
}

const target = defineTarget<Orders>({
  name: 'fake',
  config: z.looseObject({ url: z.string() }),
  skills: [],
  endpoint: ({ url }) => ({ key: url, names: [] }),
  redact: (config) => config,
  secrets: () => [],
  connect: () => Promise.reject(new Error('the supervisor must not connect')),
})

interface Rig {
  state: StateDir
  supervisor: Supervisor
  events: ChaosEvent[]
  log(): string[]
  /** Leaves the journal of a run that died. */
  leave(run: string, orders: Orders): Promise<void>
  told(type: ChaosEvent['type']): ChaosEvent[]
}

async function rigFor(
  t: TestContext,
  more: Partial<Pick<SupervisorOptions, 'lock' | 'startWorker'>> = {},
): Promise<Rig> {
  const state = await openStateDir(join(folder(t), 'state'))
  const events: ChaosEvent[] = []
  const supervisor = new Supervisor({
    ...{
      state,
      lock: noLock,
      claims: new LocalClaims(),
      main: MAIN,
      targets: [target],
      clock: systemClock,
      experiments: () => [],
    },
    emit: (event) => void events.push(event),
    ...more,
  })
  return {
    state,
    supervisor,
    events,
    log: () =>
      existsSync(join(state.path, 'log')) ? readFileSync(join(state.path, 'log'), 'utf8').trim().split('\n') : [],
    async leave(run, orders) {
      await state.secrets.keep(run, orders)
      const journal = await FileJournal.create(state.runs.where(run))
      const { url } = orders
      const identity = { scopes: { server: url, database: url, resource: url }, parts: { id: url } }
      await journal.append(started({ run, endpoint: url, identity }))
      await journal.append(planned(1))
      await journal.close()
    },
    told: (type) => events.filter((e) => e.type === type),
  }
}

const doing = (orders: Orders): Experiment => fakeExperiment([], { target_config: orders })
const skip = { wait: 'skip' } as const
const round = { noProgressMs: 1000 }
const count = (rig: Rig, what: string): number => rig.log().filter((l) => l.startsWith(what)).length

test('a worker that dies is followed at once by a recovery worker, and the run ends with its report', async (t) => {
  const rig = await rigFor(t)
  const report = await rig.supervisor.run(doing({ url: 'one', do: 'break and die', recover: 'undo' }), skip)
  assert.deepEqual([report.recovered, rig.supervisor.blocked], [true, []])
  assert.equal(rig.told('worker.lost').length, 1)
  assert.deepEqual(readdirSync(join(rig.state.path, 'journal')), [])
})

test('a worker that dies before it has changed anything is a failed run with nothing to undo', async (t) => {
  const rig = await rigFor(t)
  const report = await rig.supervisor.run(doing({ url: 'one', do: 'die' }), skip)
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
  assert.match(report.reason ?? '', /ended without a word \(exit 7\)/)
  assert.equal(count(rig, 'recover'), 0)
})

test('a worker that dies after it has put everything back and said so has not failed', async (t) => {
  const rig = await rigFor(t)
  const report = await rig.supervisor.run(doing({ url: 'one', do: 'finish and die' }), skip)
  assert.deepEqual([report.outcome, report.reason], ['completed', 'written before it died'])
})

test('a run that cannot be recovered is residue and blocks its target until it can, and no other target', async (t) => {
  const rig = await rigFor(t)
  const broken = doing({ url: 'one', do: 'break and die', recover: 'fail' })
  const report = await rig.supervisor.run(broken, skip)
  assert.deepEqual([report.exit_code, report.residue.length], [4, 1])
  assert.match(report.residue[0]?.error ?? '', /the target is away/)
  const refused = await rig.supervisor.run(doing({ url: 'one' }), skip)
  assert.deepEqual([refused.outcome, refused.exit_code], ['refused', 4])
  assert.match(refused.reason ?? '', /blocked by run .*1 step on one not undone: the target is away/)
  assert.equal((await rig.supervisor.run(doing({ url: 'another' }), skip)).exit_code, 0)
  await rig.state.secrets.keep(report.run, { url: 'one', recover: 'undo' })
  await rig.supervisor.recoverAll(round)
  assert.deepEqual(rig.supervisor.blocked, [])
  assert.equal((await rig.supervisor.run(doing({ url: 'one' }), skip)).exit_code, 0)
})

test('a residue that was looked at blocks what it is on, and nothing else of its target', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'leave residue' })
  await rig.supervisor.recoverAll(round)
  assert.equal(rig.supervisor.blocked.length, 1)
  writeFileSync(join(rig.state.path, 'go'), '')
  const claiming = async (key: string): Promise<string> => {
    await rig.supervisor.run(doing({ url: 'one', do: 'hold a claim', key }), skip)
    return rig.log().at(-1) ?? ''
  }
  assert.match(await claiming('one/db.k1'), /BLOCKED_BY_RESIDUE.*blocked by run r1/)
  assert.match(await claiming('one/db.k2'), /"claimed"/)
})

test('a blocked target is known by identity too, when a run claims on it under another name', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'fail' })
  await rig.supervisor.recoverAll(round)
  const sameTarget = doing({ url: 'one', do: 'hold a claim' })
  const named = { ...target, endpoint: () => ({ key: 'another name', names: [] }) }
  const supervisor = new Supervisor({
    ...{
      state: rig.state,
      lock: noLock,
      claims: new LocalClaims(),
      main: MAIN,
      targets: [named],
      clock: systemClock,
      experiments: () => [],
    },
    emit: () => undefined,
  })
  await supervisor.recoverAll(round)
  await supervisor.run(sameTarget, skip)
  const answer = rig.log().find((l) => l.startsWith('answer'))
  assert.match(answer ?? '', /"type":"refused","code":"BLOCKED_BY_RESIDUE"/)
})

test('what a run has left on a server is in the way of claims through another database of it', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'fail' })
  await rig.supervisor.recoverAll(round)
  await rig.supervisor.run(doing({ url: 'two', do: 'hold a claim', key: 'one/db.k1' }), skip)
  assert.match(rig.log().at(-1) ?? '', /"refused","code":"BLOCKED_BY_RESIDUE"/)
  writeFileSync(join(rig.state.path, 'go'), '')
  await rig.supervisor.run(doing({ url: 'two', do: 'hold a claim', key: 'one/db.k2' }), skip)
  assert.match(rig.log().at(-1) ?? '', /"claimed"/)
})

test('a run is recovered by one worker at a time, however many ask for it', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'hang until told' })
  const first = rig.supervisor.recoverAll(round)
  await until(() => existsSync(join(rig.state.path, 'hangs')), 'no recovery begins')
  const others = [rig.supervisor.recoverAll(round), rig.supervisor.recoverAll({ ...round, only: 'r1' })]
  writeFileSync(join(rig.state.path, 'go'), '')
  await Promise.all([first, ...others])
  assert.equal(count(rig, 'recover '), 1)
  assert.deepEqual(rig.supervisor.blocked, [])
})

test('what an operator decides while a recovery is under way is tried after it, and not dropped', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'hang until told' })
  const first = rig.supervisor.recoverAll(round)
  await until(() => existsSync(join(rig.state.path, 'hangs')), 'no recovery begins')
  const decided = rig.supervisor.recoverAll({ ...round, only: 'r1', handOver: { accept_identity: true } })
  await until(() => rig.told('recovery.started').length === 2, 'it does not see the run that is being recovered')
  writeFileSync(join(rig.state.path, 'go'), '')
  await Promise.all([first, decided])
  assert.equal(count(rig, 'recover '), 2)
})

test('two rounds that begin together recover each run once', async (t) => {
  const rig = await rigFor(t)
  for (const run of ['r1', 'r2']) await rig.leave(run, { url: run, recover: 'undo' })
  await Promise.all([rig.supervisor.recoverAll(round), rig.supervisor.recoverAll(round)])
  assert.deepEqual([count(rig, 'recover '), count(rig, 'recovered')], [2, 2])
  assert.deepEqual(rig.supervisor.blocked, [])
})

test('what a run has changed is blocked while its recovery is under way', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'hang until told' })
  const recovering = rig.supervisor.recoverAll(round)
  await until(() => existsSync(join(rig.state.path, 'hangs')), 'no recovery begins')
  await rig.supervisor.run(doing({ url: 'one', do: 'hold a claim', key: 'one/db.k1' }), skip)
  assert.match(rig.log().at(-1) ?? '', /blocked by run r1.*it is being undone/)
  writeFileSync(join(rig.state.path, 'go'), '')
  await recovering
  assert.equal((await rig.supervisor.run(doing({ url: 'one' }), skip)).exit_code, 0)
})

test('runs of one target are recovered newest first', async (t) => {
  const rig = await rigFor(t)
  for (const run of ['r1', 'r3', 'r2']) await rig.leave(run, { url: 'one', recover: 'undo' })
  const reports = await rig.supervisor.recoverAll(round)
  assert.deepEqual(
    reports.map((r) => r.run),
    ['r3', 'r2', 'r1'],
  )
})

test('a run whose journal failed is blocked although nothing is residue', async (t) => {
  const rig = await rigFor(t)
  const report = await rig.supervisor.run(doing({ url: 'one', do: 'break and say 5', recover: 'undo' }), skip)
  assert.equal(report.exit_code, 5)
  assert.deepEqual(
    rig.supervisor.blocked.map((b) => b.run),
    [report.run],
  )
  await rig.supervisor.recoverAll(round)
  assert.deepEqual(rig.supervisor.blocked, [])
})

test('a journal that does not say where it was blocks every target, and the others are still recovered', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r2', { url: 'two', recover: 'undo' })
  writeFileSync(rig.state.runs.where('r1'), 'garbage\n')
  const reports = await rig.supervisor.recoverAll(round)
  assert.deepEqual(
    reports.map((r) => r.run),
    ['r2'],
  )
  assert.deepEqual(
    rig.supervisor.blocked.map((b) => [b.run, b.endpoint]),
    [['r1', '']],
  )
  const refused = await rig.supervisor.run(doing({ url: 'another' }), skip)
  assert.deepEqual([refused.outcome, refused.exit_code], ['refused', 4])
  assert.match(refused.reason ?? '', /does not say any more which target it is of/)
  assert.ok(existsSync(rig.state.runs.where('r1')))
})

test('a journal of a newer format stops everything with JOURNAL_NEWER and is left alone', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'undo' })
  const journal = await FileJournal.create(rig.state.runs.where('r2'))
  await journal.append(started({ run: 'r2', format: 7 }))
  await journal.close()
  await assert.rejects(rig.supervisor.recoverAll(round), { code: 'JOURNAL_NEWER' })
  assert.deepEqual(rig.log(), [])
})

test('journals without a record and finished ones are cleared away, and so are secrets without a journal', async (t) => {
  const rig = await rigFor(t)
  writeFileSync(rig.state.runs.where('r1'), '')
  writeFileSync(rig.state.runs.where('r2'), '120 00000000 1234')
  await rig.state.secrets.keep('r3', {})
  await rig.leave('r4', { url: 'one' })
  const journal = await FileJournal.resume(rig.state.runs.where('r4'))
  await journal.append({ type: 'step.accepted', step: 1, note: 'seen' })
  await journal.append({ type: 'run.finished', outcome: 'completed' })
  await journal.close()
  assert.deepEqual(await rig.supervisor.recoverAll(round), [])
  assert.deepEqual(readdirSync(join(rig.state.path, 'journal')), [])
  assert.deepEqual(readdirSync(join(rig.state.path, 'secrets')), [])
})

test('a run that was left while the journals could not be read blocks every target, until a round that can read them', async (t) => {
  for (const orders of ['break and say 5', 'break and die'] as const) {
    const rig = await rigFor(t)
    let readable = false
    const list: Runs['list'] = () =>
      readable ? rig.state.runs.list() : Promise.reject(new Error('input/output error'))
    const supervisor = new Supervisor({
      ...{
        state: { ...rig.state, runs: { ...rig.state.runs, list } },
        lock: noLock,
        claims: new LocalClaims(),
        main: MAIN,
        targets: [target],
        clock: systemClock,
      },
      ...{ experiments: () => [], emit: () => undefined },
    })
    const { run, exit_code } = await supervisor.run(doing({ url: 'one', do: orders, recover: 'undo' }), skip)
    assert.deepEqual([supervisor.blocked.map((b) => b.run), exit_code === 0], [[run], false], orders)
    assert.equal((await supervisor.run(doing({ url: 'another' }), skip)).outcome, 'refused')
    readable = true
    await supervisor.recoverAll(round)
    assert.deepEqual(supervisor.blocked, [])
  }
})

test('what is over and cannot be cleared away is told, and does not keep the others from being undone', async (t) => {
  const rig = await rigFor(t)
  await rig.leave('r1', { url: 'one', recover: 'undo' })
  writeFileSync(rig.state.runs.where('r2'), '')
  const state = {
    ...rig.state,
    runs: { ...rig.state.runs, forget: () => Promise.reject(new Error('read-only file system')) },
  }
  const told: ChaosEvent[] = []
  const supervisor = new Supervisor({
    ...{
      state,
      lock: noLock,
      claims: new LocalClaims(),
      main: MAIN,
      targets: [target],
      clock: systemClock,
      experiments: () => [],
    },
    emit: (event) => void told.push(event),
  })
  const reports = await supervisor.recoverAll(round)
  assert.deepEqual([reports.map((r) => r.run), supervisor.blocked], [['r1'], []])
  const warnings = told.flatMap((e) => (e.type === 'warning' ? [e.message] : []))
  assert.match(warnings[0] ?? '', /the files of run r2, which is over, stay: read-only file system/)
})

test('two runs that claim the same key: with queue the second waits and is told so, with skip it is refused', async (t) => {
  const rig = await rigFor(t)
  const first = rig.supervisor.run(doing({ url: 'one', do: 'hold a claim' }), skip)
  await until(() => count(rig, 'answer') === 1, 'the first gets no answer')
  const refused = rig.supervisor.run(doing({ url: 'one', do: 'hold a claim' }), skip)
  await until(() => count(rig, 'answer') === 2, 'the second gets no answer')
  const waiting = rig.supervisor.run(doing({ url: 'one', do: 'hold a claim' }), { wait: 'queue' })
  await until(
    () => rig.events.some((e) => e.type === 'run.phase' && /^waits: key is in use/.test(e.detail ?? '')),
    'it does not wait',
  )
  assert.equal(count(rig, 'answer'), 2)
  writeFileSync(join(rig.state.path, 'go'), '')
  await Promise.all([first, refused, waiting])
  const answers = rig.log().filter((l) => l.startsWith('answer'))
  assert.match(answers[0] ?? '', /"claimed","waited":false/)
  assert.match(answers[1] ?? '', /"refused","code":"REFUSED_CLAIMED"/)
  assert.match(answers[2] ?? '', /"claimed","waited":true/)
})

test('a run is refused where it cannot be written down that it was admitted, and the supervisor lives on', async (t) => {
  const rig = await rigFor(t)
  rig.supervisor.admitBy(() => Promise.reject(new CodedError('JOURNAL_WRITE', 'no space left')))
  writeFileSync(join(rig.state.path, 'go'), '')
  await rig.supervisor.run(doing({ url: 'one', do: 'hold a claim' }), skip)
  assert.match(rig.log().join('\n'), /"refused","code":"JOURNAL_WRITE","message":"no space left"/)
})

test('stop aborts what runs, waits for it, and starts nothing any more', async (t) => {
  const rig = await rigFor(t)
  const running = rig.supervisor.run(doing({ url: 'one', do: 'obey' }), skip)
  await until(() => count(rig, 'obeys') === 1, 'it does not begin')
  await rig.supervisor.stop('SIGTERM', 30_000)
  assert.deepEqual(rig.supervisor.running, [])
  assert.equal((await running).outcome, 'aborted')
  const late = await rig.supervisor.run(doing({ url: 'one' }), skip)
  assert.deepEqual([late.outcome, late.exit_code, count(rig, 'run ')], ['aborted', 130, 1])
})

test('what has not ended at the deadline is killed; its journal stays, and no recovery is begun in its place', async (t) => {
  const rig = await rigFor(t)
  const running = rig.supervisor.run(doing({ url: 'one', do: 'never obey', recover: 'undo' }), skip)
  await until(() => count(rig, 'does not obey') === 1, 'it does not begin')
  await rig.supervisor.stop('SIGTERM', 100)
  assert.deepEqual(rig.supervisor.running, [])
  const report = await running
  assert.deepEqual([report.outcome, report.exit_code, report.residue.length], ['aborted', 4, 1])
  assert.deepEqual(
    rig.supervisor.blocked.map((b) => b.run),
    [report.run],
  )
  assert.ok(existsSync(rig.state.runs.where(report.run)))
  assert.equal(count(rig, 'recover '), 0)
})

test('a worker that the lock cannot name does not get its job', async (t) => {
  const pids: number[] = []
  const addWorker = (pid: number): Promise<void> => {
    pids.push(pid)
    return Promise.reject(new Error('no space left on device'))
  }
  const rig = await rigFor(t, { lock: { ...noLock, addWorker } })
  const report = await rig.supervisor.run(doing({ url: 'one' }), skip)
  assert.match(report.reason ?? '', /no space left/)
  await until(() => {
    try {
      return !process.kill(pids[0] ?? 0, 0)
    } catch {
      return true
    }
  }, 'it still runs')
  assert.deepEqual(rig.log(), [])
})

test(
  'a run that is told to end while its worker is being started ends when that is there',
  { timeout: 60_000 },
  async (t) => {
    let start: () => void = () => undefined
    const mayStart = new Promise<void>((resolve) => (start = resolve))
    const rig = await rigFor(t, {
      startWorker: async (options) => {
        await mayStart
        return startWorker(options)
      },
    })
    const running = rig.supervisor.run(doing({ url: 'one', do: 'obey' }), { ...skip, run: 'r1' })
    await until(() => rig.supervisor.running.length === 1, 'its worker is being started')
    assert.equal(rig.supervisor.abort('r1', 'frozen'), true)
    start()
    const report = await running
    assert.equal(report.outcome, 'aborted')
  },
)
