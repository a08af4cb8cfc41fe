/** The published types: a strict project of somebody else compiles against the built package, in both ways of resolving modules. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

const CODE = `
import { chaosMonkey, enable, ExperimentScheduler, FaultType, resilienceTest, wrap } from 'chaos-agents/faults'
import type { ChaosExperiment, ExperimentResult, FaultConfig } from 'chaos-agents'
import type { Report } from 'chaos-agents'
import { chaosMiddleware, wrapFetch, wrapMcpClient, wrapMcpTool, wrapMcpTools, wrapTools } from 'chaos-agents/faults/adapters'
import type { AdapterOptions, ChaosMiddleware, FetchLike, MiddlewareOptions, WrapFetchOptions, WrapMcpOptions } from 'chaos-agents/faults/adapters'

class Tools {
  #prefix = 'x'
  @chaosMonkey({ fault_type: FaultType.latency, probability: 0.3, duration_ms: 500 })
  async search(query: string, limit = 3): Promise<string[]> {
    return [this.#prefix + query].slice(0, limit)
  }
  @resilienceTest({ faults: [{ fault_type: 'error', error_code: 503 }] })
  *pages(): Generator<number, void, boolean> {
    yield 1
  }
  @chaosMonkey({ fault_type: 'timeout' })
  async *tokens<T>(of: T): AsyncGenerator<T> {
    yield of
  }
}
const tools = new Tools()
const found: Promise<string[]> = tools.search('q')
const generic = chaosMonkey({ fault_type: 'timeout' })(<T>(value: T): T => value)
const n: number = generic(5)
const sum = wrap((a: number, b: number) => a + b, { component: 'sum' })
const s: number = sum(1, 2)
const wrappedFetch: typeof fetch = wrap(fetch, { component: 'http' })
const fault: FaultConfig = { fault_type: 'data_corruption', mode: 'stale' }
const experiment: ChaosExperiment = { name: 'x', faults: [fault] }
export async function main(): Promise<ExperimentResult | Report | undefined> {
  enable()
  const scheduler = new ExperimentScheduler()
  return scheduler.run(scheduler.schedule(experiment))
}
// @ts-expect-error the arguments of a wrapped function stay checked
sum('1', 2)
// @ts-expect-error fields that do not exist are mistakes
chaosMonkey({ fault_type: 'error', errorCode: 5 })
// @ts-expect-error there are six types
chaosMonkey({ fault_type: 'slowness' })
void [found, n, s, wrappedFetch]

const options: AdapterOptions & WrapFetchOptions & MiddlewareOptions & WrapMcpOptions = { faults: [fault], seed: 1, component: 'c' }
const adapted: typeof fetch = wrapFetch(fetch, { ...options, component: (url) => url.host, networkError: true })
const narrow = async (path: string): Promise<Response> => new Response(path)
const like: FetchLike = narrow
const same: (path: string) => Promise<Response> = wrapFetch(narrow)
// @ts-expect-error a fetch answers with a Response
wrapFetch(async () => 1)

const middleware: ChaosMiddleware = chaosMiddleware(options)
const answered: Promise<{ text: string }> = middleware.wrapGenerate({ doGenerate: async () => ({ text: 'x' }), params: {} })
const aiTools = wrapTools({ weather: { description: 'x', execute: async (input: { city: string }) => input.city } })
const city: Promise<string> = aiTools.weather.execute({ city: 'Rome' })
// @ts-expect-error the input of a tool stays checked
aiTools.weather.execute({ town: 'Rome' })

class Client {
  #calls = 0
  async callTool(params: { name: string; arguments?: Record<string, unknown> }, more?: { timeout?: number }): Promise<{ content: string[] }> {
    return { content: [params.name + this.#calls++ + (more?.timeout ?? '')] }
  }
}
const client: Client = wrapMcpClient(new Client(), { ...options, throwErrors: true })
// @ts-expect-error what has no callTool is no client
wrapMcpClient({ call: async () => 1 })
const handler = wrapMcpTool('search', (args: { q: string }, extra: { signal: AbortSignal }) => ({ content: [args.q, String(extra.signal.aborted)] }))
const handled: Promise<{ content: string[] }> = handler({ q: 'x' }, { signal: new AbortController().signal })
const handlers = wrapMcpTools({ add: async (args: { a: number }) => args.a }, options)
const added: Promise<number> = handlers.add({ a: 1 })
// @ts-expect-error the arguments of a handler stay checked
handlers.add({ a: '1' })
void [adapted, like, same, answered, city, client, handled, added]
`

for (const [module, moduleResolution] of [
  ['NodeNext', 'NodeNext'],
  ['ESNext', 'Bundler'],
] as const) {
  test(`a strict consumer with module ${module} and resolution ${moduleResolution} compiles`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'chaos-consumer-'))
    try {
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(root, join(folder, 'node_modules', 'chaos-agents'))
      symlinkSync(join(root, 'node_modules', '@types'), join(folder, 'node_modules', '@types'))
      writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
      writeFileSync(join(folder, 'main.ts'), CODE)
      const compilerOptions = {
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
        target: 'ES2022',
        lib: ['ES2022', 'DOM'],
        types: [],
        module,
        moduleResolution,
      }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }))
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' })
      assert.equal(stdout, '')
      assert.equal(status, 0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}
