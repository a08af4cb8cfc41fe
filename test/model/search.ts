/** The search: sequences drawn from a seed until one goes wrong, which is then made as short as it gets. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { operation } from './operations.ts'
import type { Operation } from './operations.ts'
import { runSequence } from './sequence.ts'
import type { Result } from './sequence.ts'
import type { Bug } from './workers.ts'

/** Longest sequence that is drawn, unless said otherwise. */
const LONGEST = 24

export interface Amount {
  seed: number
  runs: number
  /** Ends after it, with as many runs as there were. */
  ms: number
  longest?: number
  /** Of a failure that is to be seen again. */
  path?: string
}

export interface Tally {
  sequences: number
  /** Of each kind of operation; of traps also how many have sprung. */
  operations: Map<Operation['do'], { drawn: number; met: number; trap: boolean }>
  /** Sequences in which a process was killed or the power went. */
  crashed: number
  crashes: number
  runs: number
  withResidue: number
  kept: number
  accepted: number
  moved: number
}

export interface Failure {
  operations: readonly Operation[]
  violations: readonly string[]
  /** How many operations it had before it was made shorter. */
  from: number
  replay: string
}

export interface Search {
  tally: Tally
  failure?: Failure
}

export async function search(amount: Amount, bug: Bug = {}): Promise<Search> {
  const { seed, runs, ms, path, longest = LONGEST } = amount
  const tally: Tally = { sequences: 0, operations: new Map(), crashed: 0, crashes: 0, ...NOTHING }
  let from = 0
  let last: { operations: readonly Operation[]; violations: string[] } | undefined
  const property = fc.asyncProperty(
    fc.array(operation, { minLength: 1, maxLength: longest, size: 'max' }),
    async (operations) => {
      const result = await runSequence(operations, bug)
      if (from === 0) count(tally, operations, result)
      if (result.violations.length === 0) return
      if (from === 0) from = operations.length
      last = { operations, violations: result.violations }
      throw new Error(result.violations.join('\n'))
    },
  )
  const details = await fc.check(property, {
    ...{ seed, numRuns: runs, interruptAfterTimeLimit: ms, markInterruptAsFailure: false },
    ...(path === undefined ? {} : { path }),
  })
  if (!details.failed || !last) return { tally }
  const replay = `CHAOS_SEED=${details.seed} CHAOS_PATH=${details.counterexamplePath ?? ''}`
  return { tally, failure: { ...last, from, replay } }
}

const NOTHING = { runs: 0, withResidue: 0, kept: 0, accepted: 0, moved: 0 }

function count(tally: Tally, operations: readonly Operation[], result: Result): void {
  tally.sequences++
  tally.crashes += result.crashes
  if (result.crashes > 0) tally.crashed++
  for (const key of ['runs', 'withResidue', 'kept', 'accepted', 'moved'] as const) tally[key] += result[key]
  for (const { do: kind, after } of operations) {
    const counted = tally.operations.get(kind) ?? { drawn: 0, met: 0, trap: after !== undefined }
    counted.drawn++
    tally.operations.set(kind, counted)
  }
  for (const [kind, met] of result.met) {
    const counted = tally.operations.get(kind)
    if (counted) counted.met += met
  }
}

/** fast-check wants a number; a commit or a word becomes one. */
export function seedNumber(seed: string): number {
  return /^-?\d{1,10}$/.test(seed) ? Number(seed) : createHash('sha256').update(seed).digest().readInt32BE()
}

/** One operation a line, to be read and to be put into a test. */
export function textOf({ operations, violations, from, replay }: Failure): string {
  const lines = operations.map((op) => `  ${JSON.stringify(op)}`).join(',\n')
  return `${violations.join('\n')}\nafter ${operations.length} operations (shrunk from ${from}):\n[\n${lines}\n]\nagain with: ${replay} node --import ./scripts/ts.mjs --test test/model/model.slow.test.ts`
}
