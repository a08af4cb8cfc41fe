/** A7, A14: fields that are misspelt, or mean nothing for their fault, are mistakes wherever a fault is written. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { readFaultOption } from '../../src/cli/faults/fault-option.ts'
import { mcpProxy } from '../../src/cli/faults/mcp-proxy.ts'
import { loadChaosExperiment } from '../../src/config/chaos-experiment.ts'
import { ConfigError } from '../../src/core/errors.ts'
import { chaosMonkey, FaultConfigError, wrap } from '../../src/faults/index.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { wrapFetch, wrapMcpClient, wrapMcpTool } from '../../src/faults/adapters/index.ts'
import { uselessFields } from '../../src/faults/fields.ts'
import { ToolFaults } from '../../src/mcp/tool-faults.ts'
import { application } from '../../src/targets/application/index.ts'
import { enabled, error503, errorOf } from './helpers.ts'

const chaos = enabled()

/** What was accepted silently, and what is said. */
const MEANINGLESS: [FaultConfig, RegExp][] = [
  [
    { fault_type: 'latency', duration_ms: 5, keep_items: 1 },
    /keep_items means nothing for latency; it is for partial_/,
  ],
  [{ fault_type: 'latency', duration_ms: 5, error_message: 'x' }, /error_message means nothing for latency/],
  [
    { fault_type: 'error', error_code: 500, duration_ms: 5 },
    /duration_ms means nothing for error; it is for latency, t/,
  ],
  [{ fault_type: 'timeout', retry_after_seconds: 5 }, /retry_after_seconds means nothing for timeout/],
  [{ fault_type: 'partial_failure', keep: 0.5 }, /keep means nothing for partial_failure with mode raise; .*\(drop\)/],
  [{ fault_type: 'resource_exhaustion', mode: 'hold_slots', hold_bytes: 5 }, /hold_bytes means nothing .*hold_memory/],
  [{ fault_type: 'data_corruption', mode: 'stale', keep_items: 5 }, /keep_items means nothing .* with mode stale/],
]

describe('in code', () => {
  for (const [fault, said] of MEANINGLESS)
    test(`${JSON.stringify(fault)} is refused with the place`, async () => {
      const message = async (make: () => unknown) => {
        const error = await errorOf(make)
        assert.ok(error instanceof FaultConfigError)
        return error.message
      }
      for (const make of [
        () => chaosMonkey({ ...fault, chaos }),
        () => wrap(() => 1, { faults: [error503, fault], chaos }),
        () => wrapFetch(fetch, { faults: [fault], chaos, component: 'c' }),
      ])
        assert.match(await message(make), said)
      assert.match(await message(() => wrap(() => 1, { faults: [error503, fault], chaos })), /^faults\[1\]: /)
    })

  test('probabilty: 0 does not break every call: it is refused, with what was meant', async () => {
    const misspelt = { ...error503, probabilty: 0 } as FaultConfig
    const error = await errorOf(() => wrap(() => 1, { faults: [misspelt], chaos }))
    assert.match(error.message, /^faults\[0\]: probabilty is no field of a fault: did you mean probability\?$/)
    const camel = { fault_type: 'latency', durationMs: 5 } as unknown as FaultConfig
    assert.match((await errorOf(() => chaosMonkey({ ...camel, chaos }))).message, /did you mean duration_ms\?/)
    const strange = { ...error503, colour: 'red' } as FaultConfig
    assert.match((await errorOf(() => chaosMonkey({ ...strange, chaos }))).message, /colour .*; there are fault_type, /)
  })

  test('error_code means something for every fault that raises', async () => {
    for (const fault_type of ['timeout', 'partial_failure', 'resource_exhaustion', 'data_corruption'] as const) {
      const error = await errorOf(chaosMonkey({ fault_type, error_code: 504, chaos })(() => 1))
      assert.equal((error as { error_code?: number }).error_code, 504)
      assert.equal((error as { status?: number }).status, 504)
    }
  })

  test('a field that is undefined is not there', () => {
    const fault = { ...error503, keep: undefined } as unknown as FaultConfig
    assert.deepEqual(uselessFields(fault), [])
  })
})

describe('in YAML', () => {
  test('every such field is reported with its line, of an experiment and of the proxy’s configuration', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'chaos-fields-'))
    try {
      const file = join(folder, 'experiment.yaml')
      writeFileSync(
        file,
        'experiment_id: a\nname: b\nfaults:\n  - fault_type: latency\n    duration_ms: 5\n    keep_items: 2\n    error_code: 5\n',
      )
      await assert.rejects(loadChaosExperiment(file, {}, uselessFields), (error: unknown) => {
        assert.ok(error instanceof ConfigError)
        assert.deepEqual(
          error.problems.map(({ line, path }) => [line, path]),
          [
            [6, 'faults[0].keep_items'],
            [7, 'faults[0].error_code'],
          ],
        )
        return true
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('parameters of a skill name the field', () => {
    const skill = application.skills.find(({ name }) => name === 'app.partial_failure')
    const parsed = skill?.params.safeParse({ keep: 0.5 })
    assert.deepEqual(
      parsed?.error?.issues.map(({ path }) => path),
      [['keep']],
    )
  })

  test('a step of an older journal with such a field is still read: its undo does not need it', () => {
    const skill = application.skills.find(({ name }) => name === 'app.partial_failure')
    const step = { component: 'c', fault: { fault_type: 'partial_failure', keep: 0.5 }, lease_ms: 1000, seed: 's' }
    assert.equal(skill?.step.safeParse(step).success, true)
  })
})

test('on the command line of the proxy', async () => {
  const error = await errorOf(() => readFaultOption('latency,duration_ms=5,keep_items=1'))
  assert.match(error.message, /keep_items means nothing for latency/)
})

describe('calls of MCP tools took faults that only streams have, and nothing happened', () => {
  const OF_STREAMS: [FaultConfig, string][] = [
    [{ fault_type: 'latency', stall_ms: 5 }, 'stall_ms'],
    [{ fault_type: 'latency', duration_ms: 1, stall_ms: 5 }, 'stall_ms'],
    [{ fault_type: 'error', reset_after_items: 1 }, 'reset_after_items'],
    [{ fault_type: 'partial_failure', mode: 'drop', keep_items: 2 }, 'keep_items'],
    [{ fault_type: 'data_corruption', mode: 'cut_stream' }, 'mode'],
    [{ fault_type: 'error', error_code: 503, callback: true }, 'callback'],
  ]
  for (const [fault, field] of OF_STREAMS)
    test(`${JSON.stringify(fault)} is refused by mcp-proxy, wrapMcpClient and wrapMcpTool with the place`, async () => {
      const text = Object.entries(fault)
        .map(([name, value]) => (name === 'fault_type' ? String(value) : `${name}=${String(value)}`))
        .join(',')
      const said = new RegExp(`${field}( cut_stream)? means nothing for calls of MCP tools: the`)
      assert.match((await errorOf(() => readFaultOption(text))).message, said)
      const client = { callTool: () => Promise.resolve({ content: [] }) }
      const faults = [error503, fault]
      for (const make of [
        () => new ToolFaults({ faults }),
        () => wrapMcpClient(client, { faults, chaos }),
        () => wrapMcpTool('t', () => 1, { faults, chaos }),
      ]) {
        const error = await errorOf(make)
        assert.ok(error instanceof FaultConfigError)
        assert.match(error.message, said)
        assert.match(error.message, /^faults\[1\]: /)
      }
      // A function may answer with a stream.
      wrap(() => 1, { faults, chaos })
    })

  test('in the file of mcp-proxy, with the line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'chaos-fields-'))
    try {
      const file = join(folder, 'proxy.yaml')
      const lines = ['experiment_id: a', 'name: b', 'faults:', '  - fault_type: latency', '    stall_ms: 5']
      writeFileSync(file, [...lines, '  - fault_type: error', '    reset_after_items: 1', ''].join('\n'))
      await loadChaosExperiment(file, {}, uselessFields)
      const told: string[] = []
      const context = { env: {}, out: () => undefined, err: (text: string) => void told.push(text) } as never
      const options = { config: file, fault: [], tool: [], listen: '', maxMessageBytes: '1024' }
      await assert.rejects(mcpProxy(context, ['true'], options), (error: unknown) => {
        assert.ok(error instanceof ConfigError)
        assert.deepEqual(
          error.problems.map(({ line, path }) => [line, path]),
          [
            [5, 'faults[0].stall_ms'],
            [7, 'faults[1].reset_after_items'],
          ],
        )
        return true
      })
      assert.deepEqual(told, [])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
