/** Short ways for the tests of the fault library. */
import assert from 'node:assert/strict'
import { Chaos } from '../../src/faults/index.ts'
import type { ChaosOptions, FaultConfig } from '../../src/faults/index.ts'

/** A switch and registry of the test's own, on. */
export function enabled(options: ChaosOptions = {}): Chaos {
  return new Chaos({ enabled: true, ...options })
}

/** The error that it rejects with or throws. */
export async function errorOf(call: () => unknown): Promise<Error> {
  try {
    await call()
  } catch (error) {
    assert.ok(error instanceof Error)
    return error
  }
  return assert.fail('it did not raise')
}

/** Milliseconds that it takes. */
export async function timeOf(call: () => unknown): Promise<number> {
  const begun = performance.now()
  await call()
  return performance.now() - begun
}

/** Which of the first `calls` calls raise, from 1. */
export function raising(fn: () => unknown, calls: number): number[] {
  return Array.from({ length: calls }, (_, i) => i + 1).filter(() => {
    try {
      fn()
      return false
    } catch {
      return true
    }
  })
}

export const error503: FaultConfig = { fault_type: 'error', error_code: 503 }

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
