/** Breaks a long line at its words, for a terminal that would break it in the middle of one. */

/** So narrow a terminal is not wrapped for. */
const NARROWEST = 40
const COLOUR = /\u001b\[\d+m/g

/** The same text on lines of at most `columns`; those after the first begin with `indent` spaces. Colours take no room. */
export function wrapLine(line: string, columns: number | undefined, indent: number): string {
  if (columns === undefined || columns < NARROWEST || widthOf(line) <= columns) return line
  const margin = ' '.repeat(Math.min(indent, Math.floor(columns / 3)))
  const lines: string[] = []
  let current = ''
  let empty = true
  for (const word of line.split(/(?<=\S)(?= )/)) {
    if (!empty && widthOf(current) + widthOf(word) > columns) {
      lines.push(current)
      current = margin + word.trimStart()
    } else current += word
    empty = false
  }
  return [...lines, current].join('\n')
}

function widthOf(text: string): number {
  return text.replaceAll(COLOUR, '').length
}
