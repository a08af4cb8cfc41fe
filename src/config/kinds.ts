/** Texts with rules of their own: durations, filters, names. Each knows how to read one and what to say if it is none. */
import { z } from 'zod'
import { parseDuration } from '../core/duration.ts'
import { messageOf } from '../core/errors.ts'
import type { Where } from '../core/experiment.ts'
import { parsePace } from '../core/pace.ts'
import type { Pace } from '../core/pace.ts'
import type { Seen } from './source.ts'

export interface Kind<T> {
  /** Undefined when the value is not of this kind. */
  read(value: unknown): T | undefined
  /** What is wrong, and what to write instead. Shows nothing but what is in `seen`. */
  explain(seen: Seen): string
}

/** The kind as a schema; the issue it raises carries the kind, so that the explanation can be made where the text is known. */
export function kindSchema<T>(kind: Kind<T>) {
  return z.unknown().transform((value, ctx): T => {
    const found = kind.read(value)
    if (found !== undefined) return found
    ctx.addIssue({ code: 'custom', params: { kind } })
    return z.NEVER
  })
}

/** Milliseconds. */
export const duration: Kind<number> = {
  read: (value) => (typeof value === 'string' ? parseDuration(value) : undefined),
  explain({ value, text }) {
    if (value === undefined) return `must be a duration such as "30s", "5m" or "1h30m", got ${text}`
    if (/^\d+(\.\d+)?$/.test(String(value))) return `needs a unit: write "${value}s" for ${value} seconds`
    const short = shortUnits(String(value))
    if (parseDuration(short) !== undefined) return `is not a duration: write "${short}"`
    return `must be a duration such as "30s", "5m" or "1h30m" (ms, s, m, h, d), got ${text}`
  },
}

/** A regular expression that is matched against a whole name. */
export const filter: Kind<string> = {
  read: (value) => (typeof value === 'string' && value !== '' && regexError(value) === undefined ? value : undefined),
  explain({ value, text, kind }) {
    if (kind !== 'text' || value === '') return `must be a regular expression such as "orders.*", got ${text}`
    const why = typeof value === 'string' ? ` (${regexError(value) ?? ''})` : ''
    const glob = typeof value === 'string' ? value.replaceAll(/(?<![.\])])\*/g, '.*') : ''
    const fix = glob !== '' && glob !== value && regexError(glob) === undefined ? JSON.stringify(glob) : '"orders.*"'
    return `is not a regular expression${why}: write e.g. ${fix}; got ${text}`
  },
}

/** On how many places. */
export const where: Kind<Where> = {
  read(value) {
    if (value === 'all') return value
    if (typeof value === 'number') return Number.isSafeInteger(value) && value > 0 ? value : undefined
    const [, percent] = /^(\d{1,3})%$/.exec(typeof value === 'string' ? value : '') ?? []
    return percent !== undefined && Number(percent) >= 1 && Number(percent) <= 100 ? `${Number(percent)}%` : undefined
  },
  explain: ({ text }) => `must be all, a number of places such as 2, or a share of them such as 50%, got ${text}`,
}

/** When the steps may go. */
export const pace: Kind<Pace> = {
  read: (value) => (typeof value === 'string' ? parsePace(value) : undefined),
  explain({ value, text }) {
    const kinds = 'at_once, spread, a rate such as 10/s or 30/m, or "ramp 2m" (all within the first two minutes)'
    const [, count, unit] = /^(\d+)\s*(?:\/|per)\s*(s|m|h)/i.exec(String(value)) ?? []
    const rate = count === undefined ? '' : `${count}/${unit?.toLowerCase() ?? ''}`
    return parsePace(rate) === undefined ? `must be ${kinds}, got ${text}` : `is not a pace: write "${rate}"`
  },
}

/** What a person calls an experiment; it is printed, logged and typed after `--only`. */
export const experimentName: Kind<string> = {
  read: (value) => (typeof value === 'string' && nameError(value) === undefined ? value : undefined),
  explain({ value, text }) {
    if (typeof value === 'number') return `must be text, got ${text}: put quotes around it: "${value}"`
    const why = typeof value === 'string' ? nameError(value) : undefined
    return `${why ?? `must be text of 1 to ${LONGEST_NAME} characters`}: write e.g. name: nightly-load; got ${text}`
  },
}

const LONGEST_NAME = 100

function nameError(name: string): string | undefined {
  if (name.trim() === '') return 'must not be empty'
  if (name !== name.trim()) return 'must not begin or end with a space'
  if (name.length > LONGEST_NAME) return `must not be longer than ${LONGEST_NAME} characters`
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(name)) return 'must be one line of visible characters'
  return undefined
}

/** The filter is put between `^(?:` and `)$`, so it has to be a whole expression by itself. */
function regexError(source: string): string | undefined {
  try {
    new RegExp(source)
    return undefined
  } catch (error) {
    return messageOf(error).replace(/^.*: /s, '').toLowerCase()
  }
}

/** `5 minutes` → `5m`. */
function shortUnits(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/\s+|,|and/g, '')
    .replaceAll(/(?<=\d)(?:milliseconds?|millis|msecs?)/g, 'ms')
    .replaceAll(/(?<=\d)(?:seconds?|secs?)/g, 's')
    .replaceAll(/(?<=\d)(?:minutes?|mins?)/g, 'm')
    .replaceAll(/(?<=\d)(?:hours?|hrs?)/g, 'h')
    .replaceAll(/(?<=\d)days?/g, 'd')
}
