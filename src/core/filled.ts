/**
 * Values that a configuration got from outside (`${VAR}`, `${file:…}`), and texts in which their expressions stand in
 * their place.
 */
import { ConfigError, setMessage } from './errors.ts'

/** One filled-in value. */
export interface Filled {
  text: string
  /** What may be shown instead: the expression as written, without its default. */
  shown: string
  /** From a file, or at a place or from a variable that holds secrets: no part of it is ever shown. */
  secret: boolean
}

export interface Mask {
  /** Any text. Values that are short or numbers stay, unless they are secret: they are also part of ordinary words. */
  text(text: string): string
  /** A text that says what is wrong: short values go as well, where they stand as a word. */
  problem(text: string): string
  /** The same, with every text in a plain value masked. */
  data<T>(value: T): T
  /** Masks the messages of an error and of everything that caused it, in place, and gives the error back. */
  error(error: unknown): unknown
}

/** Of a secret, a beginning or an end of at least so many characters is recognised: others truncate what they quote. */
const RECOGNISED = 12
/** Shorter values are also part of ordinary words. */
const SHORTEST = 4
const NUMBER = /^(?:[-+]?[\d.,:]+[a-zA-Z%]{0,3}|true|false|on|off|yes|no|null)$/i

const NOTHING: Mask = {
  text: (text) => text,
  problem: (text) => text,
  data: (value) => value,
  error: (error) => error,
}

export function maskOf(filled: readonly Filled[]): Mask {
  const given = filled.filter(({ text, shown }) => text.trim() !== '' && text !== shown)
  if (given.length === 0) return NOTHING
  const common = (one: Filled): boolean => one.text.length < SHORTEST || (!one.secret && NUMBER.test(one.text))
  const secrets = new Finder(given.filter((one) => one.secret && one.text.length >= SHORTEST).flatMap(piecesOf), true)
  const words = new Finder(given.filter((one) => !one.secret && !common(one)).flatMap(formsOf), false)
  const short = new Finder(given.filter(common), false)
  const text = (all: string): string => words.mask(secrets.mask(all))
  const problem = (all: string): string => short.mask(text(all))
  const data = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(data)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, AS_IS.has(key) ? one : SAID.has(key) ? said(one) : data(one)]),
    )
  }
  const said = (value: unknown): unknown => (typeof value === 'string' ? problem(value) : data(value))
  return { text, problem, data: data as Mask['data'], error: (error) => masked(error, problem, new Set()) }
}

/** The fields of events and reports that say what is wrong. */
const SAID: ReadonlySet<string> = new Set(['reason', 'error', 'message', 'problem'])

/** …and those that are read by programs, and hold words of the product or names that it has made. */
const AS_IS: ReadonlySet<string> = new Set([
  ...['type', 'at', 'run', 'kind', 'code', 'outcome', 'phase', 'experiment', 'skill', 'seed', 'mark', 'id', 'install'],
  ...['started_at', 'finished_at', 'slot', 'until', 'from', 'next', 'cause'],
])

interface Piece {
  text: string
  shown: string
  /** Recognised as a whole only: many other addresses begin like one. */
  whole?: boolean
}

/** A secret as a whole and line by line, and the parts of a qualified name; each as it is and as others write it. */
function piecesOf({ text, shown }: Filled): Piece[] {
  if (text.includes('://')) return formsOf({ text, shown, whole: true })
  const lines = text.split(/[\r\n]+/).map((line) => line.trim())
  const names = lines.length === 1 ? text.split('.').filter((part) => part.length >= 6) : []
  const raw = [text, text.trim(), ...lines, ...names].filter((piece) => piece.length >= SHORTEST)
  return [...new Set(raw)].flatMap((piece) => formsOf({ text: piece, shown }))
}

/** As it is, and as it stands in JSON and in a URL. */
function formsOf({ text, shown, whole = false }: Piece): Piece[] {
  const bytes = Buffer.from(text).toString()
  const forms = [text, JSON.stringify(text).slice(1, -1), encodeURI(bytes), encodeURIComponent(bytes)]
  return [...new Set(forms)].map((form) => ({ text: form, shown, whole }))
}

/** Finds pieces in a text, whatever their case; of secrets their beginnings and ends too. */
class Finder {
  readonly #byHead = new Map<string, Piece[]>()
  readonly #byTail = new Map<string, Piece[]>()
  readonly #heads: RegExp | undefined
  readonly #tails: RegExp | undefined

  constructor(pieces: readonly Piece[], inside: boolean) {
    for (const piece of [...pieces].sort((a, b) => b.text.length - a.text.length)) {
      const cut = inside && piece.whole !== true
      add(this.#byHead, cut ? piece.text.slice(0, RECOGNISED) : piece.text, piece)
      if (cut && piece.text.length > RECOGNISED) add(this.#byTail, piece.text.slice(-RECOGNISED), piece)
    }
    this.#heads = anyOf([...this.#byHead.keys()], inside)
    this.#tails = anyOf([...this.#byTail.keys()], inside)
  }

  mask(text: string): string {
    const headless = this.#replace(text, this.#heads, (at, found) => this.#forwards(text, at, found))
    if (headless === text && this.#tails === undefined) return text
    const done = this.#replace(headless, this.#tails, (at, found) => this.#backwards(headless, at, found))
    return done === text ? text : merged(done)
  }

  /** From where one begins: as much of the text as is that piece. */
  #forwards(text: string, at: number, found: string): Found | undefined {
    let best: Found | undefined
    for (const { text: piece, shown } of this.#byHead.get(fold(found)) ?? []) {
      let length = found.length
      while (length < piece.length && same(text[at + length] ?? '', piece[length] ?? '')) length++
      if (best === undefined || length > best.end - at) best = { start: at, end: at + length, shown }
    }
    return best
  }

  #backwards(text: string, at: number, found: string): Found | undefined {
    let best: Found | undefined
    const end = at + found.length
    for (const { text: piece, shown } of this.#byTail.get(fold(found)) ?? []) {
      let length = found.length
      while (length < piece.length && same(text[end - length - 1] ?? '', piece[piece.length - length - 1] ?? ''))
        length++
      if (best === undefined || length > end - best.start) best = { start: end - length, end, shown }
    }
    return best
  }

  #replace(text: string, any: RegExp | undefined, find: (at: number, found: string) => Found | undefined): string {
    if (any === undefined) return text
    let done = ''
    let from = 0
    for (const match of text.matchAll(any)) {
      if (match.index < from) continue
      const found = find(match.index, match[0])
      if (found === undefined) continue
      done += text.slice(from, Math.max(from, found.start)) + found.shown
      from = found.end
    }
    return done + text.slice(from)
  }
}

interface Found {
  start: number
  end: number
  shown: string
}

function add(map: Map<string, Piece[]>, key: string, piece: Piece): void {
  const folded = fold(key)
  map.set(folded, [...(map.get(folded) ?? []), piece])
}

function fold(text: string): string {
  return text.toLowerCase()
}

function same(a: string, b: string): boolean {
  return a === b || fold(a) === fold(b)
}

function anyOf(texts: readonly string[], inside: boolean): RegExp | undefined {
  if (texts.length === 0) return undefined
  const longest = [...texts].sort((a, b) => b.length - a.length)
  const any = longest.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|')
  return new RegExp(inside ? any : `(?<![\\p{L}\\p{N}_])(?:${any})(?![\\p{L}\\p{N}_])`, 'giu')
}

/** Several lines of one value are one value. */
function merged(text: string): string {
  return text.replaceAll(/(\$\{[^{}]*\})(?:(?:\s|\\[nrt]|[^\p{L}\p{N}\s${}]){0,3}\1)+/gu, '$1')
}

function masked(error: unknown, mask: (text: string) => string, seen: Set<unknown>): unknown {
  if (typeof error === 'string') return mask(error)
  if (!(error instanceof Error) || seen.has(error)) return error
  seen.add(error)
  const clean = error as { stack?: string; fix?: string | undefined; problems?: readonly unknown[]; about?: object }
  setMessage(error, mask(error.message))
  if (clean.stack !== undefined) clean.stack = mask(clean.stack)
  if (typeof clean.fix === 'string') clean.fix = mask(clean.fix)
  if (clean.about !== undefined)
    clean.about = Object.fromEntries(
      Object.entries(clean.about).map(([name, fact]) => [
        name,
        typeof fact === 'string' ? mask(fact) : (fact as unknown),
      ]),
    )
  if (error instanceof ConfigError)
    clean.problems = error.problems.map((one) => ({ ...one, path: mask(one.path), message: mask(one.message) }))
  if (error.cause !== undefined) error.cause = masked(error.cause, mask, seen)
  if (error instanceof AggregateError) error.errors = error.errors.map((one) => masked(one, mask, seen))
  return error
}
