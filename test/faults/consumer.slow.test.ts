/** The published package (A9, A13): a strict project of somebody else compiles against it in every way of resolving modules, and runs. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { packedConsumer } from './packed.ts'

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

/** As NestJS does it: a route is metadata of the method, looked for on what the class has in the end. */
const LEGACY = `
import { ChaosError, FaultConfigError, chaosMonkey, enable, resilienceTest } from 'chaos-agents/faults'

const kept = new WeakMap<object, Map<unknown, unknown>>()
Object.assign(Reflect, {
  defineMetadata: (key: unknown, value: unknown, on: object) => void kept.set(on, (kept.get(on) ?? new Map()).set(key, value)),
  getOwnMetadataKeys: (on: object) => [...(kept.get(on)?.keys() ?? [])],
  getOwnMetadata: (key: unknown, on: object) => kept.get(on)?.get(key),
})
const { defineMetadata, getOwnMetadata } = Reflect as never as {
  defineMetadata(key: unknown, value: unknown, on: object): void
  getOwnMetadata(key: unknown, on: object): unknown
}
const Get = (path: string) => (_: object, __: string | symbol, descriptor: PropertyDescriptor): void => {
  defineMetadata('path', path, descriptor.value)
  descriptor.value.tagged = path
}

class Controller {
  prefix = 'cat '
  @chaosMonkey({ fault_type: 'error', error_code: 503, first_n: 1 })
  @Get('/outside')
  async outside(id: string, more?: number): Promise<string> {
    return this.prefix + id + (more ?? '')
  }
  @Get('/inside')
  @resilienceTest({ faults: [{ fault_type: 'error', error_code: 503, first_n: 1 }] })
  inside(id: string): string {
    return this.prefix + id
  }
  @chaosMonkey({ fault_type: 'timeout', first_n: 1 })
  static *pages(): Generator<number> {
    yield 1
  }
}
class Wrong {}
const fails = (work: () => unknown, pattern: RegExp): void => {
  try {
    work()
  } catch (error) {
    if (error instanceof FaultConfigError && pattern.test(error.message)) return
    throw error
  }
  throw new Error('it did not throw')
}
const anything = chaosMonkey({ fault_type: 'timeout' }) as (...args: unknown[]) => unknown
fails(() => anything(Wrong), /not a class/)
fails(() => anything(Wrong.prototype, 'field', undefined), /not a property/)
fails(() => anything(Wrong.prototype, 'getter', { get: () => 1 }), /accessor/)

async function main(): Promise<void> {
  const router = new Map<unknown, string>()
  for (const name of Object.getOwnPropertyNames(Controller.prototype)) {
    const method = Object.getOwnPropertyDescriptor(Controller.prototype, name)?.value
    const path = getOwnMetadata('path', method)
    if (path !== undefined) router.set(path, name)
  }
  const { outside } = Controller.prototype as never as { outside: { name: string; length: number; tagged: string } }
  enable()
  const cat = new Controller()
  const first = await cat.outside('1').catch((error: unknown) => (error instanceof ChaosError ? error.status : error))
  console.log(JSON.stringify([[...router], outside.name, outside.length, outside.tagged, first, await cat.outside('2')]))
}
void main()
`

const BASE = { strict: true, exactOptionalPropertyTypes: true, target: 'ES2022', lib: ['ES2022', 'DOM'], types: [] }
const OLD = { module: 'CommonJS', moduleResolution: 'Node10', ignoreDeprecations: '6.0' }

describe('the packed package', () => {
  const consumer = packedConsumer()
  after(() => consumer.remove())
  const { write, tsc, node } = consumer

  for (const [type, options] of [
    ['commonjs', OLD],
    ['commonjs', { module: 'CommonJS', moduleResolution: 'Bundler' }],
    ['commonjs', { module: 'Node16', moduleResolution: 'Node16' }],
    ['module', { module: 'NodeNext', moduleResolution: 'NodeNext' }],
    ['module', { module: 'ESNext', moduleResolution: 'Bundler' }],
  ] as const)
    test(`types are found by a ${type} package with module ${options.module}, resolution ${options.moduleResolution}`, () => {
      write({ 'package.json': JSON.stringify({ type }), 'main.ts': CODE })
      assert.equal(tsc({ ...BASE, ...options, skipLibCheck: false, noEmit: true }, ['main.ts']), '')
    })

  for (const [type, options] of [
    ['commonjs', OLD],
    ['module', { module: 'NodeNext', moduleResolution: 'NodeNext' }],
  ] as const)
    test(`methods decorated with experimentalDecorators keep their routes, and meet faults, in a ${type} package`, () => {
      write({ 'package.json': JSON.stringify({ type }), 'main.ts': LEGACY })
      assert.equal(tsc({ ...BASE, ...options, experimentalDecorators: true }, ['main.ts']), '')
      const routes = [
        ['/outside', 'outside'],
        ['/inside', 'inside'],
      ]
      assert.deepEqual(JSON.parse(node('main.js')), [routes, 'outside', 2, '/outside', 503, 'cat 2'])
    })

  test('what Node requires and what it imports is one library: enabled in one, errors known in both', () => {
    write({
      'package.json': '{"type": "commonjs"}',
      'old.js': `
        const faults = require('chaos-agents/faults')
        const { wrapFetch } = require('chaos-agents/faults/adapters')
        const { chaosMonkey } = require('chaos-agents')
        module.exports = {
          ...faults, wrapFetch,
          old: chaosMonkey({ fault_type: 'error', error_code: 503 })(async () => 'ok'),
          connect: (options) => faults.connectChaos(options),
        }`,
      'new.mjs': `
        import assert from 'node:assert/strict'
        import * as faults from 'chaos-agents/faults'
        import { wrapFetch } from 'chaos-agents/faults/adapters'
        import old from './old.js'
        assert.notEqual(faults.wrap, old.wrap, 'two copies are loaded')
        const mine = faults.wrap(async () => 'ok', { component: 'mine' })
        faults.enable()
        await assert.rejects(old.old(), (error) =>
          error instanceof old.ChaosError && error instanceof faults.ChaosError && error instanceof faults.InjectedFaultError &&
          !(error instanceof faults.ChaosTimeoutError) && !(new Error() instanceof faults.ChaosError))
        class Own extends faults.ChaosError {}
        assert.ok(new Own(1) instanceof faults.ChaosError && !(new faults.ChaosError(1) instanceof Own))
        const scheduler = new old.ExperimentScheduler()
        const id = scheduler.schedule({ name: 'x', target_components: ['mine', 'api.test'], faults: [{ fault_type: 'error', error_code: 429 }] })
        const running = scheduler.run(id)
        await assert.rejects(mine(), faults.ChaosError)
        for (const of of [wrapFetch, old.wrapFetch])
          assert.equal((await of(async () => new Response('ok'))('https://api.test/')).status, 429)
        old.disable()
        assert.equal((await running).status, 'aborted')
        assert.equal(faults.application.state, 'disabled')
        assert.equal(await mine(), 'ok')
        faults.enable()
        const connection = await old.connect({ app: 'x', socket: process.argv[2] })
        await connection.close()
        console.log('one')`,
    })
    assert.equal(node('new.mjs', `${consumer.folder}/x.sock`), 'one\n')
  })

  test('a test runner that only knows require, with globals of its own for each file, loads it (as jest does)', () => {
    write({
      'package.json': '{"type": "commonjs"}',
      'runner.js': `
        const vm = require('node:vm'), fs = require('node:fs'), { createRequire } = require('node:module'), path = require('node:path')
        // No importModuleDynamically: an import() in what is loaded would fail, as without --experimental-vm-modules.
        const load = (file, context, seen) => {
          if (seen.has(file)) return seen.get(file).exports
          const module = { exports: {} }
          seen.set(file, module)
          const own = createRequire(file)
          const wrapper = vm.runInContext('(function (module, exports, require) {' + fs.readFileSync(file, 'utf8') + '\\n})', context, { filename: file })
          wrapper(module, module.exports, (id) => id.startsWith('node:') ? require(id) : load(own.resolve(id), context, seen))
          return module.exports
        }
        const test = (entry) => {
          const context = vm.createContext({ process, performance, setTimeout, clearTimeout, AbortSignal, AbortController, Response, URL })
          return load(path.resolve(entry), context, new Map())
        }
        void Promise.all([test('./one.js'), test('./one.js')]).then((said) => console.log(JSON.stringify(said)))`,
      'one.js': `
        const { application, enable, chaosMonkey, connectChaos } = require('chaos-agents/faults')
        const state = application.state
        enable()
        const call = chaosMonkey({ fault_type: 'error', error_code: 503 })(async () => 'ok')
        module.exports = call().catch(async (error) => {
          const refused = await connectChaos({ app: '' }).catch(({ name }) => name)
          const connection = await connectChaos({ app: 'x', http: { port: 0, token: '0123456789abcdef' } })
          await connection.close()
          return [state, error.message, refused]
        })`,
    })
    const each = ['idle', '[503] injected error', 'FaultConfigError']
    assert.deepEqual(JSON.parse(node('runner.js')), [each, each])
  })
})
