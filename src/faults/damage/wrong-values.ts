/** Values of the right type that are wrong: what a schema lets through. */
import type { Draws } from '../random.ts'
import { leavesOf, withValue } from './leaves.ts'

/** One value, and about every third of those after it; not many, as each costs a copy of what is around it. */
const SHARE = 0.3
const MOST = 16

export function wrongValues(root: unknown, draws: Draws): unknown {
  const inner = typeof root === 'string' ? parseMap(root) : undefined
  if (inner !== undefined) return JSON.stringify(wrongValues(inner, draws))
  const leaves = leavesOf(root).filter(({ value }) => canBeWrong(value))
  if (leaves.length === 0) return root
  // Beyond a few values the rest of a long answer stays right.
  const from = draws.int(leaves.length)
  return leaves
    .slice(from, from + MOST)
    .filter((_, i) => i === 0 || draws.next() < SHARE)
    .reduce((data, { path, value }) => withValue(data, path, wrong(value, draws)), root)
}

/** JSON of a list or a map. */
export function parseMap(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function canBeWrong(value: unknown): boolean {
  return (
    ['number', 'boolean', 'bigint'].includes(typeof value) ||
    value instanceof Date ||
    (typeof value === 'string' && value !== '')
  )
}

function wrong(value: unknown, draws: Draws): unknown {
  if (typeof value === 'boolean') return !value
  if (typeof value === 'bigint') return value + BigInt(1 + draws.int(1000))
  if (typeof value === 'number') return wrongNumber(value, draws)
  if (value instanceof Date) return new Date(value.getTime() + days(draws))
  return wrongText(String(value), draws)
}

/** Whole numbers stay whole, and signs stay. */
function wrongNumber(value: number, draws: Draws): number {
  const factor = 2 + draws.int(9)
  if (value === 0) return factor
  if (!Number.isInteger(value)) return value * factor
  const other = draws.next() < 0.5 ? value * factor : Math.trunc(value / factor)
  return other === 0 || !Number.isSafeInteger(other) ? value + Math.sign(value) : other
}

/** Times stay times, digits digits and letters letters; the length stays. */
function wrongText(text: string, draws: Draws): string {
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) && !Number.isNaN(Date.parse(text)))
    return new Date(Date.parse(text) + days(draws)).toISOString()
  if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)))
    return new Date(Date.parse(text) + days(draws)).toISOString().slice(0, 10)
  const letters = Array.from(text)
  const at = letters.flatMap((letter, i) => (/[a-z\d]/i.test(letter) ? [i] : []))
  const place = at[draws.int(at.length)]
  if (place === undefined) return `${text}?`
  letters[place] = other(letters[place] ?? '', draws)
  return letters.join('')
}

function other(letter: string, draws: Draws): string {
  const [first, count] = /\d/.test(letter) ? ['0', 10] : /[a-z]/.test(letter) ? ['a', 26] : ['A', 26]
  const base = first.charCodeAt(0)
  return String.fromCharCode(base + ((letter.charCodeAt(0) - base + 1 + draws.int(count - 1)) % count))
}

const DAY_MS = 86_400_000

function days(draws: Draws): number {
  return (1 + draws.int(400)) * DAY_MS * (draws.next() < 0.5 ? -1 : 1)
}
