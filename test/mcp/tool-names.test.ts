/** A tool whose name is misspelt on the command line is warned of, at the first call of the one that was meant. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ToolFaults } from '../../src/mcp/tool-faults.ts'
import { answerOf } from './http.ts'

const { signal } = new AbortController()
const answer = () => Promise.resolve({ raw: Buffer.from(answerOf('ok')), body: {} })

test('a misspelt tool is warned of once with what was meant, and at the end where nobody called it', async () => {
  const said: string[] = []
  const faults = new ToolFaults({
    faults: [
      { fault_type: 'error', error_code: 503 },
      { fault_type: 'latency', duration_ms: 1, affected_components: ['get_sum'] },
    ],
    tools: ['serach', 'other_thing'],
    warn: (text) => said.push(text),
  })
  for (const tool of ['search', 'search', 'get_sum', 'unlike']) await faults.call(tool, 1, answer, signal)
  assert.deepEqual(said, ['"search" is called, and "serach" is named: did you mean it?'])
  faults.end()
  faults.end()
  assert.deepEqual(said.slice(1), [
    'no tool "serach" was called: no fault could meet it',
    'no tool "other_thing" was called: no fault could meet it',
  ])
})

test('where every tool is meant, or nothing was called, nothing is warned of', async () => {
  const said: string[] = []
  const warn = (text: string) => said.push(text)
  const every = new ToolFaults({ faults: [{ fault_type: 'error', error_code: 503 }], warn })
  await every.call('search', 1, answer, signal)
  every.end()
  new ToolFaults({ faults: [{ fault_type: 'error', error_code: 503 }], tools: ['search'], warn }).end()
  assert.deepEqual(said, [])
})
