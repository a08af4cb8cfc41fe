/** How benchmarks measure and tell: sides run in turn, figures as ratios. This machine's own speed cancels out. */

export interface Rounds {
  /** How often each side is measured. */
  rounds: number
  /** Runs every side once before, without counting it; for what the first time is slower. On unless told. */
  warmUp?: boolean
  /** Past this many milliseconds no further round is begun (but three are always made). */
  budgetMs?: number
}

const BUDGET_MS = 20_000
const FEWEST_ROUNDS = 3

/** Runs the sides in turn, A B A B …; gives every side's results in order. */
export async function interleave<T extends Record<string, () => Promise<unknown>>>(
  sides: T,
  { rounds, warmUp = true, budgetMs = BUDGET_MS }: Rounds,
): Promise<{ [K in keyof T]: Awaited<ReturnType<T[K]>>[] }> {
  const entries = Object.entries(sides)
  const results = Object.fromEntries(entries.map(([name]) => [name, [] as unknown[]]))
  if (warmUp) for (const [, side] of entries) await side()
  const end = performance.now() + budgetMs
  for (let round = 0; round < rounds && (round < FEWEST_ROUNDS || performance.now() < end); round++) {
    for (const [name, side] of entries) results[name]?.push(await side())
  }
  return results as { [K in keyof T]: Awaited<ReturnType<T[K]>>[] }
}

export interface Series {
  label: string
  /** One figure per round, the rounds of all series being the same ones. */
  values: readonly number[]
}

export interface Comparison {
  title: string
  unit: string
  better: 'higher' | 'lower'
  ours: Series
  peers: readonly Series[]
  /** One line: what the ratio tells. */
  meaning: string
}

/** The comparison as text: medians with the least and the greatest, then a ratio of ours to every peer's. */
export function describe({ title, unit, better, ours, peers, meaning }: Comparison): string {
  const all = [ours, ...peers]
  const width = Math.max(...all.map((series) => series.label.length))
  const lines = all.map(
    ({ label, values }) => `  ${label.padEnd(width)}  ${number(median(values))} ${unit} (${range(values)})`,
  )
  const ratios = peers.map((peer) => {
    const values = ratio(ours.values, peer.values)
    return `  ratio ${number(median(values))} (${range(values)}) to ${peer.label}; ${better} is better`
  })
  return [title, ...lines, ...ratios, `  ${meaning}`, ''].join('\n')
}

/** Round by round: what disturbs the machine for a while disturbs both sides of a round. */
export function ratio(ours: readonly number[], peer: readonly number[]): number[] {
  return ours.map((value, round) => value / (peer[round] ?? NaN))
}

/** The mean of the middle two of an even count. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2
}

function range(values: readonly number[]): string {
  return `${number(Math.min(...values))}–${number(Math.max(...values))}`
}

/** Two decimals below 10, one below 100, then whole: 0.94, 54.3, 6,204. */
function number(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
