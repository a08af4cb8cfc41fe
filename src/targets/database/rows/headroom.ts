/** Numbers that a load uses up for good: of sequences, which an undo cannot set back, against what they have left. */
import type { Recipe } from './batch.ts'
import type { NumberSource } from './facts.ts'
import type { Unfit } from './suitable.ts'

/** A run may take this share of the numbers that a sequence has left, one in so many. */
const SHARE = 100n
/** From one in so many on the plan says so. */
const NOTICEABLE = 1_000n
/** Keys that we choose come back with the rows; only what the application counts on from them meanwhile does not. */
const CHOSEN_SHARE = 10n

/** The numbers that are left: up to the sequence's own end, or that of the smallest column that it fills. */
export function numbersLeft({ increment, min, max, start, last, cycle, columns }: NumberSource): bigint {
  const size = increment < 0n ? -increment : increment
  // Round and round it goes, unless a number must not come twice.
  if (cycle && !columns.some((c) => c.unique)) return (max - min) / size + 1n
  const ends = columns.flatMap(({ type, digits }) => largestOf(type, digits) ?? [])
  const position = last ?? start - increment
  const room =
    increment > 0n
      ? ends.reduce((end, one) => (one < end ? one : end), max) - position
      : position - ends.reduce((end, one) => (-one - 1n > end ? -one - 1n : end), min)
  return room < 0n ? 0n : room / size
}

/** The numbers that batches of so many rows take, each in a session of its own. */
export function numbersTaken({ cache }: Pick<NumberSource, 'cache'>, batches: readonly number[], perRow = 1): bigint {
  return batches.reduce((sum, rows) => {
    // One more tells where the batch begins.
    const wanted = BigInt(rows) * BigInt(perRow) + 1n
    return sum + ((wanted + cache - 1n) / cache) * cache
  }, 0n)
}

/** Why so many numbers are too many; undefined when the application will not miss them. */
function tooManyNumbers(source: NumberSource, taken: bigint): Unfit | undefined {
  const left = numbersLeft(source)
  if (taken * SHARE <= left) return undefined
  return {
    reason:
      `it would take ${count(taken)} of the ${count(left)} numbers that ${source.name} has left (more than 1 %), and no undo gives ` +
      `them back: the application would run out of them; ${left < SHARE ? 'none can be spared' : `a run may take ${count(left / SHARE)}`}`,
  }
}

/** Worth a word: the share that is taken, and how many such runs there are numbers for. */
function numbersNote(source: NumberSource, taken: bigint): string | undefined {
  const left = numbersLeft(source)
  if (taken === 0n || taken * NOTICEABLE < left) return undefined
  const percent = Number((taken * 10_000n) / left) / 100
  return (
    `the run takes ${count(taken)} of the ${count(left)} numbers that ${source.name} has left (${percent} %), and the undo does not give them ` +
    `back: there are enough for ${count(left / taken)} such runs`
  )
}

/** Why keys that we choose behind the largest that is there would leave too little room behind them. */
export function tooManyKeys(recipe: Recipe, rows: number): Unfit | undefined {
  for (const { name, source } of recipe.columns) {
    if (source.from !== 'value' || !source.unique || source.base === undefined || source.type.array) continue
    const largest = largestOf(source.type.name, null)
    if (largest === undefined) continue
    const left = largest - BigInt(source.base) + 1n
    if (BigInt(rows) * CHOSEN_SHARE > left) {
      const most = count(left / CHOSEN_SHARE)
      return {
        reason: `its column ${name} has ${count(left)} numbers left behind the largest that is there; a run may use ${most} of them`,
      }
    }
  }
  return undefined
}

/** What a run has taken so far, repeats and earlier entries included. */
export class Headroom {
  readonly #sources: ReadonlyMap<string, NumberSource>
  readonly #taken = new Map<string, bigint>()

  /** `taken` has the marks of earlier invocations, as `marks` gives them. */
  constructor(sources: ReadonlyMap<string, NumberSource>, taken: Iterable<string>) {
    this.#sources = sources
    for (const mark of taken) {
      const [, id, n] = MARK.exec(mark) ?? []
      if (id !== undefined && n !== undefined) this.#add(id, BigInt(n))
    }
  }

  /** Why a table cannot have these batches as well. Where it can, they are counted. `recipe` has the columns that we fill. */
  take(table: string, recipe: Recipe, batches: readonly number[]): Unfit | undefined {
    const wanted = this.#drawsOf(table, recipe).map(([id, source, perRow]) => ({
      id,
      source,
      taken: numbersTaken(source, batches, perRow),
    }))
    for (const { id, source, taken } of wanted) {
      const unfit = tooManyNumbers(source, taken + (this.#taken.get(id) ?? 0n))
      if (unfit) return unfit
    }
    for (const { id, taken } of wanted) this.#add(id, taken)
    return undefined
  }

  /** What later invocations of the same run must know of one batch; `batch` is its name, unlike any other's. */
  marks(table: string, recipe: Recipe, batch: string, rows: number): string[] {
    return this.#drawsOf(table, recipe).map(
      ([id, source, perRow]) => `numbers:${id}:${numbersTaken(source, [rows], perRow)}:${batch}`,
    )
  }

  /** One for each sequence of which the run takes a share worth a word. */
  notes(): string[] {
    return [...this.#taken].flatMap(([id, taken]) => {
      const source = this.#sources.get(id)
      return (source && numbersNote(source, taken)) ?? []
    })
  }

  #add(id: string, n: bigint): void {
    this.#taken.set(id, (this.#taken.get(id) ?? 0n) + n)
  }

  #drawsOf(table: string, { columns }: Recipe): [id: string, source: NumberSource, perRow: number][] {
    const ours = new Set(columns.map(({ name }) => name))
    return [...this.#sources].flatMap(([id, source]) => {
      const perRow = source.columns.filter((c) => c.draws && c.table === table && !ours.has(c.column)).length
      return perRow === 0 ? [] : [[id, source, perRow]]
    })
  }
}

const MARK = /^numbers:(\d+):(\d+):/

function largestOf(type: string, digits: number | null): bigint | undefined {
  const bits: Record<string, bigint> = { int2: 15n, int4: 31n, int8: 63n }
  const size = bits[type]
  if (size !== undefined) return 2n ** size - 1n
  return type === 'numeric' && digits !== null ? 10n ** BigInt(digits) - 1n : undefined
}

function count(n: bigint): string {
  return n.toLocaleString('en-US')
}
