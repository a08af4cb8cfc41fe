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
