/** Texts that come from a target or another peer: cut where they enter, before any regular expression sees them. */

/** Characters of a foreign text that are kept. */
export const LONGEST_FOREIGN = 10_000

const CUT = ' … (cut)'

/** The text, or its beginning where it is longer than people read. */
export function bounded(text: string): string {
  return text.length <= LONGEST_FOREIGN ? text : text.slice(0, LONGEST_FOREIGN - CUT.length) + CUT
}
