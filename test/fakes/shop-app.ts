/**
 * A real application process for the end-to-end tests: three wrapped functions that are called all the time, a line of
 * JSON on standard output per round with how each call went, and connectChaos. `node --import tsx shop-app.ts OPTIONS`, the
 * options being those of connectChaos as JSON.
 */
import { connectChaos, wrap } from '../../src/faults/index.ts'
import type { ConnectOptions } from '../../src/faults/connect/connection.ts'

/** Between two rounds. */
const PAUSE_MS = 25

const answer = { items: ['a', 'b', 'c', 'd'], total: 4, text: 'an answer that is long enough' }
const tools = ['search', 'pay', 'mail'].map((component) => ({
  component,
  call: wrap(() => Promise.resolve(structuredClone(answer)), { component, async: true }),
}))
const right = JSON.stringify(answer)

const { address } = await connectChaos(JSON.parse(process.argv[2] ?? '{}') as ConnectOptions)
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
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
