/**
 * Texts that come from a target or another peer: cut where they enter, before any regular expression sees them, and shown
 * as text, so that they can neither steer a terminal nor forge a line.
 */

/** Characters of a foreign text that are kept. */
const LONGEST_FOREIGN = 10_000

const CUT = ' … (cut)'

/** The text, or its beginning where it is longer than people read. */
export function bounded(text: string): string {
  return cutTo(text, LONGEST_FOREIGN, CUT)
}

/** At most `most` UTF-16 units with the `end` that says that it was cut; never cut within a character. */
export function cutTo(text: string, most: number, end = '…'): string {
  if (text.length <= most) return text
  const kept = most - end.length
  const last = text.charCodeAt(kept - 1)
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? kept - 1 : kept) + end
}

/** Without the spaces, and the characters of `also`, that it ends with. Each is looked at once. */
export function withoutEnd(text: string, also: string): string {
  let end = text.length
  while (end > 0 && (also.includes(text.charAt(end - 1)) || text.charAt(end - 1).trim() === '')) end--
  return text.slice(0, end)
}

/**
 * Controls (C0, C1), what changes the direction of a text or is not seen, halves of characters, and separators of lines.
 * Joiners (U+200C, U+200D) stay: words and emoji are written with them.
 */
const INVISIBLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** On one line: `\n` and `\u001b` for what cannot be seen. Within JSON that stands for the same character. */
export function visible(text: string): string {
  return text.replaceAll(INVISIBLE, (character) => escaped(character))
}

/** One line of bounded length, for a place that has no more. */
export function oneLine(text: string): string {
  return visible(bounded(text))
}

/** The same line by line; `backslash` as it is written where the text goes. */
export function visibleLines(text: string, backslash = '\\'): string {
  return text.replaceAll(INVISIBLE, (character) => (character === '\n' ? character : escaped(character, backslash)))
}

const SHORT: Record<string, string | undefined> = { '\n': 'n', '\r': 'r', '\t': 't' }

function escaped(character: string, backslash = '\\'): string {
  const short = SHORT[character]
  if (short !== undefined) return backslash + short
  let text = ''
  for (let i = 0; i < character.length; i++)
    text += `${backslash}u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  return text
}

/** What a person wrote, or the product itself: it may have lines. */
const LINES: ReadonlySet<string> = new Set(['problem', 'fix'])

/** Characters of what may have lines. */
const LONGEST_LINES = 100_000

/** The same plain value with every text in it visible and bounded. */
export function visibleData<T>(value: T): T {
  return mapped(value, (text, key) =>
    LINES.has(key) ? visibleLines(cutTo(text, LONGEST_LINES, CUT)) : oneLine(text),
  ) as T
}

/** The same plain value, each text in it cut at `most` characters. */
export function boundedData<T>(value: T, most = LONGEST_FOREIGN): T {
  return mapped(value, (text) => cutTo(text, most, CUT)) as T
}

/** A line of JSON for machines that people look at too: what it means is the same. */
export function jsonLine(value: unknown): string {
  return visible(JSON.stringify(value))
}

type Change = (text: string, key: string) => string

function mapped(value: unknown, change: Change, key = ''): unknown {
  if (typeof value === 'string') return change(value, key)
  if (Array.isArray(value)) return value.map((one) => mapped(one, change, key))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [change(name, ''), mapped(one, change, name)]))
}

/** Colours and the redrawn line of our own: all that our output says to a terminal. */
const OURS = /\u001b\[[0-9;]{0,20}m|\r\u001b\[2K/g

/** The last net, for everything that is written for people: lines, tabs and our own colours pass, other controls are shown. */
export function shown(text: string): string {
  let done = ''
  let from = 0
  for (const match of text.matchAll(OURS)) {
    done += tabbed(text.slice(from, match.index)) + match[0]
    from = match.index + match[0].length
  }
  return done + tabbed(text.slice(from))
}

function tabbed(text: string): string {
  return text.replaceAll(INVISIBLE, (one) => (one === '\n' || one === '\t' ? one : escaped(one)))
}
