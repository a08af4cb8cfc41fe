/**
 * A real application process for tests: three wrapped functions that are called all the time, a line of JSON on standard
 * output per round with how each call went, and connectChaos. `node --import ./scripts/ts.mjs shop-app.ts OPTIONS`, the options being
 * those of connectChaos as JSON, and `pause_ms` between two rounds. SIGUSR2 blocks its event loop for `block_ms`;
 * SIGWINCH sets what it believes is the time by `jump_ms`.
 */
import { connectChaos, wrap } from '../../src/faults/index.ts'
import type { ConnectOptions } from '../../src/faults/connect/connection.ts'

interface Options extends ConnectOptions {
  pause_ms?: number
  block_ms?: number
  jump_ms?: number
}

const answer = { items: ['a', 'b', 'c', 'd'], total: 4, text: 'an answer that is long enough' }
const tools = ['search', 'pay', 'mail'].map((component) => ({
  component,
  call: wrap(() => Promise.resolve(structuredClone(answer)), { component, async: true }),
}))
const right = JSON.stringify(answer)

const {
  pause_ms: pause = 25,
  block_ms: block = 0,
  jump_ms: jump = 0,
  ...connect
} = JSON.parse(process.argv[2] ?? '{}') as Options
process.on('SIGUSR2', () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block))
process.on('SIGWINCH', () => {
  const { now } = Date
  Date.now = () => now() + jump
})
// Nobody calls it.
wrap(() => Promise.resolve(), { component: 'never', async: true })
const { address } = await connectChaos(connect)
for (;;) {
  const round: Record<string, string> = {}
  for (const { component, call } of tools) {
    const begun = performance.now()
    const result = await call().catch((error: unknown) => error)
    const took = performance.now() - begun
    if (result instanceof Error) round[component] = result.name
    else if (JSON.stringify(result) !== right) round[component] = 'wrong'
    else round[component] = took > 150 ? 'slow' : 'well'
  }
  process.stdout.write(`${JSON.stringify({ address, ...round })}\n`)
  await new Promise((resolve) => setTimeout(resolve, pause))
}
