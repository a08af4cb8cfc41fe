import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Experiment } from '../../src/core/experiment.ts'
import type { Report } from '../../src/core/report.ts'
import type { FromWorker, ToWorker } from '../../src/supervisor/protocol.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { endWith, folder } from './helpers.ts'

const MAIN = fileURLToPath(new URL('../fakes/engine-worker.ts', import.meta.url))

interface Rig {
  child: ChildProcess
  messages: FromWorker[]
  stateDir: string
  values(): Record<string, string>
  send(message: ToWorker): void
  ended: Promise<number | null>
  report(): Report | undefined
}

async function startWorker(t: TestContext, more: Partial<Experiment> = {}, script = ''): Promise<Rig> {
  const path = folder(t)
  const stateDir = join(path, 'state')
  await openStateDir(stateDir)
  const child = fork(MAIN, [join(path, 'values'), script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  endWith(t, child.pid ?? 0)
  const messages: FromWorker[] = []
  child.on('message', (message: FromWorker) => messages.push(message))
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const send = (message: ToWorker): void => void child.send(message)
  const experiment = fakeExperiment([{ params: { keys: ['a'] } }], { duration_ms: 60_000, ...more })
  send({ type: 'job', job: { kind: 'run', run: 'r1', state_dir: stateDir, experiment, seed: 's' } })
  return {
    ...{ child, messages, stateDir, send, ended },
    values: () => (JSON.parse(readFileSync(join(path, 'values'), 'utf8')) as { values: Record<string, string> }).values,
    report: () =>
      messages.flatMap((m) => (m.type === 'done' && m.result.kind === 'report' ? [m.result.report] : []))[0],
  }
}

async function untilSoaking({ messages, send, values }: Rig): Promise<void> {
  await until(() => messages.some((m) => m.type === 'claim'), 'it does not claim')
  send({ type: 'claimed', waited: false })
  await until(
    () => messages.some((m) => m.type === 'event' && m.event.type === 'run.phase' && m.event.phase === 'soak'),
    'it does not soak',
  )
  assert.equal(values()['a'], 'chaos by fake.write')
}

test('a worker whose supervisor is gone rolls back, writes its report and ends', async (t) => {
  const rig = await startWorker(t)
  await untilSoaking(rig)
  rig.child.disconnect()
  assert.equal(await rig.ended, 0)
  assert.equal(rig.values()['a'], '1')
  const report = JSON.parse(readFileSync(join(rig.stateDir, 'history', 'r1.json'), 'utf8')) as Report
  assert.deepEqual([report.outcome, report.reason, report.residue], ['aborted', 'the supervisor is gone', []])
  assert.deepEqual(readdirSync(join(rig.stateDir, 'journal')), [])
})

test('a worker ignores signals and obeys its supervisor; its secrets are not in its command line', async (t) => {
  const rig = await startWorker(t)
  await untilSoaking(rig)
  assert.doesNotMatch(readFileSync(`/proc/${rig.child.pid}/cmdline`, 'utf8'), /canary/)
  assert.doesNotMatch(readFileSync(`/proc/${rig.child.pid}/environ`, 'utf8'), /canary/)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE'] as const) rig.child.kill(signal)
  const beats = rig.messages.filter((m) => m.type === 'heartbeat').length
  await until(() => rig.messages.filter((m) => m.type === 'heartbeat').length > beats + 1, 'its heart does not beat')
  assert.equal(rig.values()['a'], 'chaos by fake.write')
  rig.send({ type: 'abort', reason: 'SIGTERM' })
  assert.equal(await rig.ended, 0)
  assert.deepEqual([rig.report()?.outcome, rig.report()?.exit_code, rig.values()['a']], ['aborted', 130, '1'])
})

test('an exception outside of every promise does not skip the undo, and the run has failed', async (t) => {
  const rig = await startWorker(t, {}, 'throw outside of every promise')
  await until(() => rig.messages.some((m) => m.type === 'claim'), 'it does not claim')
  rig.send({ type: 'claimed', waited: false })
  await rig.ended
  assert.deepEqual([rig.report()?.outcome, rig.report()?.exit_code, rig.values()['a']], ['failed', 1, '1'])
  assert.match(rig.report()?.reason ?? '', /a bug: a bug/)
})

test('a worker that is aborted while it waits for its claims ends without having touched anything', async (t) => {
  const rig = await startWorker(t)
  await until(() => rig.messages.some((m) => m.type === 'claim'), 'it does not claim')
  rig.send({ type: 'abort', reason: 'SIGTERM' })
  await rig.ended
  assert.deepEqual([rig.report()?.outcome, rig.report()?.steps, rig.values()['a']], ['aborted', [], '1'])
})

test('a refused claim comes back as a refused run', async (t) => {
  const rig = await startWorker(t)
  await until(() => rig.messages.some((m) => m.type === 'claim'), 'it does not claim')
  rig.send({ type: 'refused', code: 'BLOCKED_BY_RESIDUE', message: 'blocked by run r0' })
  await rig.ended
  assert.deepEqual([rig.report()?.outcome, rig.report()?.exit_code], ['refused', 4])
})

test('a worker whose supervisor died while it was loading ends all the same', async (t) => {
  const child = fork(MAIN, [join(folder(t), 'values'), ''], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  endWith(t, child.pid ?? 0)
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  child.disconnect()
  assert.equal(await Promise.race([ended, sleep(30_000, 'it waits for ever', { ref: false })]), 0)
})
