/** The lock of a state folder goes with its workers: who dies and leaves one behind has not let go of it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { lockState } from '../../src/supervisor/lock.ts'
import { startWorker } from '../../src/supervisor/worker-process.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { folder } from './helpers.ts'

const noFlock = spawnSync('flock', ['--version']).error !== undefined

test(
  'a worker keeps the lock taken that its supervisor has let go of',
  { skip: noFlock && 'no flock here' },
  async (t) => {
    const path = folder(t)
    const main = join(path, 'worker.mjs')
    writeFileSync(main, `process.on('message', () => process.send({ type: 'heartbeat' })); setInterval(() => {}, 1000)`)
    const taken = (): boolean => spawnSync('flock', ['-n', '-x', join(path, 'lock'), 'true']).status === 1
    const lock = await lockState(path, 'test', systemClock, () => undefined)
    const worker = await startWorker({
      ...{ main, lock, onEvent: () => undefined, onClaim: () => Promise.reject(new Error('none')) },
      job: { kind: 'survey', install: 'inst1', run: 'r1', experiment: fakeExperiment([]) },
    })
    try {
      await lock.release()
      assert.ok(taken())
    } finally {
      worker.kill()
      await worker.result.catch(() => undefined)
    }
    assert.ok(!taken())
  },
)
