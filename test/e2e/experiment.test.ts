/** The commands for experiments inside applications, as they are typed: output, exit codes, and results that are kept. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { Chaos, signal } from './chaos.ts'

describe('chaos inject, run --experiment, report --experiment-id', () => {
  let chaos: Chaos
  beforeEach(() => void (chaos = new Chaos()))
  afterEach(() => chaos.remove())

  const experiment = (more: object = {}): object => ({
    experiment_id: 'exp/../1',
    name: 'Slow tools',
    duration_seconds: 1,
    target_components: ['tool'],
    faults: [{ fault_type: 'error', error_code: 503 }],
    ...more,
  })

  test('inject prints what it does and what was raised, with the defaults of the mission', async () => {
    const out = async (...args: string[]) => (await chaos.run(['inject', ...args])).out
    assert.equal(
      await out('--fault', 'latency', '--duration', '20', '--target', 'my-tool'),
      "Injecting 'latency' fault into component 'my-tool'...\nFault injection complete (no exception raised — e.g., latency).\n",
    )
    assert.equal(
      await out('--fault', 'error', '--error-code', '503', '--message', 'Service unavailable'),
      "Injecting 'error' fault into component '*'...\nFault raised: ChaosError: [503] Service unavailable\n",
    )
    assert.match(await out('--fault', 'error'), /ChaosError: \[500\] /)
    assert.match(await out('--fault', 'timeout'), /ChaosTimeoutError: \[timeout\] /)
    const { code, err } = await chaos.run(['inject', '--fault', 'slowness'])
    assert.equal(code, 2)
    assert.match(err, /latency, error, timeout/)
  })

  test('run --experiment runs without CHAOS_ENABLED, and report --experiment-id shows it later, whatever the id', async () => {
    const file = chaos.config(experiment())
    const ran = await chaos.run(['run', '--experiment', file, '--json-output'], { CHAOS_ENABLED: '' })
    assert.equal(ran.code, 0)
    const result = JSON.parse(ran.out) as { status: string; summary: { total_faults_fired: number } }
    assert.equal(result.status, 'completed')
    assert.ok(result.summary.total_faults_fired >= 1)
    const json = await chaos.run(['report', '--experiment-id', 'exp/../1', '--json-output'])
    assert.deepEqual(JSON.parse(json.out), result)
    assert.match((await chaos.run(['report', '--experiment-id', 'exp/../1'])).out, /status +completed\n/)
    assert.match((await chaos.run(['report'])).out, /no runs yet/)
  })

  test('Ctrl-C aborts, exits with 130 and keeps the result', async () => {
    const running = chaos.start(['run', '--experiment', chaos.config(experiment({ duration_seconds: 600 }))])
    await new Promise((resolve) => running.child.stdout?.once('data', resolve))
    signal(running.child.pid, 'SIGINT')
    assert.equal((await running.exit).code, 130)
    assert.match((await chaos.run(['report', '--experiment-id', 'exp/../1'])).out, /status +aborted\n/)
  })

  test('mistakes end with 2 and their place; both kinds of file, or none, are refused with what to type', async () => {
    const wrong = chaos.config(experiment({ faults: [{ fault_type: 'latency' }], target_component: ['x'] }))
    const bad = await chaos.run(['run', '--experiment', wrong])
    assert.equal(bad.code, 2)
    assert.match(bad.err, /:\d+:\d+: faults\[0\]\.duration_ms: is missing: add duration_ms: 200/)
    assert.match(bad.err, /unknown key "target_component": did you mean "target_components"\?/)
    for (const args of [[], ['a.yaml', '--experiment', 'b.yaml'], ['--experiment', wrong, '--dry-run']]) {
      const { code, err } = await chaos.run(['run', ...args])
      assert.equal(code, 2, args.join(' '))
      assert.match(err, /--experiment/)
    }
    assert.equal((await chaos.run(['report', '--experiment-id', 'nobody'])).code, 2)
    const swapped = await chaos.run(['run', chaos.config(experiment())])
    assert.match(swapped.err, /run it with `chaos run --experiment FILE`/)
  })
})
