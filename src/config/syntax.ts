/** YAML text to YAML document, with what is wrong in words for somebody who does not know the grammar. */
import { parseDocument } from 'yaml'
import type { Document, LineCounter, YAMLError, YAMLWarning } from 'yaml'

export interface SyntaxProblem {
  offset: number
  message: string
  /** The document can be read in spite of it. */
  readable: boolean
}

/** Deeper than any configuration, and far from where a recursive parser runs out of stack. */
const DEEPEST = 200

export function parseYaml(text: string, lineCounter: LineCounter): { doc?: Document; problems: SyntaxProblem[] } {
  const tooDeep = tooDeepAt(text)
  if (tooDeep !== undefined) {
    // The parser, which would have counted the lines, never runs.
    for (let start = 0; start >= 0; start = text.indexOf('\n', start) + 1 || -1) lineCounter.addNewLine(start)
    return { problems: [{ offset: tooDeep, message: `nested more than ${DEEPEST} deep`, readable: false }] }
  }
  const doc = parseDocument(text, { lineCounter, prettyErrors: false, version: '1.2' })
  const problems = [...doc.errors, ...doc.warnings].map((error) => explain(error, text))
  // What follows a tab looks wrongly indented too.
  const tabs = doc.errors.flatMap((error, index) => (error.code === 'TAB_AS_INDENT' ? (problems[index] ?? []) : []))
  return { doc, problems: firstPerLine(tabs.length > 0 ? tabs : problems, text) }
}

/** Counts brackets and indentation, strings and all: enough to tell a configuration from an attack on the parser. */
function tooDeepAt(text: string): number | undefined {
  let open = 0
  let indent = 0
  let indenting = true
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '[' || c === '{') open++
    else if ((c === ']' || c === '}') && open > 0) open--
    if (c === '\n') [indent, indenting] = [0, true]
    else if (indenting && (c === ' ' || c === '-' || c === '?' || c === ':')) indent++
    else indenting = false
    if (open > DEEPEST || indent > 2 * DEEPEST) return i
  }
  return undefined
}

/** One mistake makes the parser stumble several times on its line. */
function firstPerLine(problems: SyntaxProblem[], text: string): SyntaxProblem[] {
  const lineOf = (offset: number) => text.lastIndexOf('\n', offset - 1)
  const seen = new Set<number>()
  return problems.filter(({ offset, readable }) => {
    if (readable) return true
    if (seen.has(lineOf(offset))) return false
    seen.add(lineOf(offset))
    return true
  })
}

const QUOTE_IT = 'put quotes around a value that begins with it'

/** The parser's own words may quote the text, and the text may be a password: only its codes are used. */
const MESSAGES: Partial<Record<YAMLError['code'], string>> = {
  TAB_AS_INDENT: 'a tab is used for indentation: use spaces',
  DUPLICATE_KEY: 'this key is there twice: remove one of them',
  MULTIPLE_DOCS: 'a second document begins here: keep one, remove the "---" line',
  BAD_ALIAS: `"*" begins a YAML alias: ${QUOTE_IT}, e.g. "* * * * * *"`,
  BAD_SCALAR_START: `a value cannot begin with this character: ${QUOTE_IT}`,
  BAD_DQ_ESCAPE: 'unknown escape in a text in double quotes: write \\\\ for a backslash, or use single quotes',
  MISSING_CHAR: 'something is missing before here: a closing quote, or the ":" after a key',
  BAD_INDENT: 'the indentation does not fit the lines above: align it with its neighbours; a [ or { needs its end',
  BLOCK_AS_IMPLICIT_KEY: 'a second ": " in one line: put quotes around the value, or begin a new line',
  MULTILINE_IMPLICIT_KEY: 'a key without ":" after it: write "key: value"',
  BAD_DIRECTIVE: 'unknown % line: remove it',
  TAG_RESOLVE_FAILED: 'unknown tag, or a value that is not of its tag\'s type: remove the "!…"',
  UNEXPECTED_TOKEN: 'not expected here: put quotes around the value, or check the lines above',
  RESOURCE_EXHAUSTION: 'nested too deeply',
}

function explain(error: YAMLError | YAMLWarning, text: string): SyntaxProblem {
  const offset = Math.min(error.pos[0], text.length)
  const readable = error.code === 'DUPLICATE_KEY' || error.code === 'TAG_RESOLVE_FAILED'
  const message = specialCase(error, text, offset) ?? MESSAGES[error.code] ?? `is not YAML (${error.code})`
  return { offset, message, readable }
}

function specialCase(error: YAMLError, text: string, offset: number): string | undefined {
  if (error.code !== 'UNEXPECTED_TOKEN') return undefined
  if (text.slice(offset - 1, offset + 1) === '${') return 'inside [ ] and { } put quotes around it: "${…}"'
  if (text[offset] === '*') return MESSAGES.BAD_ALIAS
  if (/["']/.test(text[offset - 1] ?? '') || /["']\s+$/.test(text.slice(0, offset))) {
    return "text after the closing quote: put all of it into one pair of quotes (a quote inside: \\\" or '')"
  }
  return undefined
}
