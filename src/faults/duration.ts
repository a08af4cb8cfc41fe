/** How long a fault takes this time: its milliseconds, or some of its range. */
import type { Range } from './fault-type.ts'
import type { Draws } from './random.ts'

/** From a range a whole number is drawn, both ends included. */
export function durationOf(ms: number | Range | undefined, draws: Draws, otherwise = 0): number {
  return typeof ms === 'object' ? ms.from + draws.int(ms.to - ms.from + 1) : (ms ?? otherwise)
}

/** `200 ms`, `100 to 900 ms` */
export function durationText(ms: number | Range | undefined): string {
  return typeof ms === 'object' ? `${ms.from} to ${ms.to} ms` : `${ms ?? 0} ms`
}
