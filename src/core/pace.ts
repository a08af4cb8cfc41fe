/** When planned steps may go: all before the soak, or one after the other within it. */
import { formatDuration, parseDuration } from './duration.ts'

/**
 * `at_once`: all before the soak. `spread`: at even distances over the soak. `every_ms`: one after each such time. `ramp_ms`: at
 * even distances over the first so many milliseconds of the soak; all of them are in effect after that.
 */
export type Pace = 'at_once' | 'spread' | { every_ms: number } | { ramp_ms: number }

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000 } as const

/** As people write it: `at_once`, `spread`, `10/s`, `30/m`, `ramp 2m`. Undefined for anything else. */
export function parsePace(text: string): Pace | undefined {
  if (text === 'at_once' || text === 'spread') return text
  const [, count, unit] = /^(\d{1,6})\/(s|m|h)$/.exec(text) ?? []
  if (count !== undefined && Number(count) > 0) return { every_ms: UNITS[unit as keyof typeof UNITS] / Number(count) }
  const ramp = text.startsWith('ramp ') ? parseDuration(text.slice('ramp '.length)) : undefined
  return ramp === undefined || ramp <= 0 ? undefined : { ramp_ms: ramp }
}

export function paceText(pace: Pace): string {
  if (typeof pace === 'string') return pace
  if ('ramp_ms' in pace) return `ramp ${formatDuration(pace.ramp_ms)}`
  const [unit = 'h', ms = UNITS.h] =
    Object.entries(UNITS).find(([, length]) => Number.isInteger(Number((length / pace.every_ms).toFixed(6)))) ?? []
  return `${Number((ms / pace.every_ms).toFixed(2))}/${unit}`
}
