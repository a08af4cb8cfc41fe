/**
 * Texts that come from a target or another peer: cut where they enter, before any regular expression sees them, and shown
 * as text, so that they can neither steer a terminal nor forge a line.
 */

/** Characters of a foreign text that are kept. */
export const LONGEST_FOREIGN = 10_000

const CUT = ' … (cut)'

/** The text, or its beginning where it is longer than people read. */
export function bounded(text: string): string {
  return text.length <= LONGEST_FOREIGN ? text : text.slice(0, LONGEST_FOREIGN - CUT.length) + CUT
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

/** The same plain value with every text in it visible. */
export function visibleData<T>(value: T): T {
  return mapped(value, false) as T
}

function mapped(value: unknown, lines: boolean): unknown {
  if (typeof value === 'string') return lines ? visibleLines(value) : visible(value)
  if (Array.isArray(value)) return value.map((one) => mapped(one, lines))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [visible(key), mapped(one, LINES.has(key))]))
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
