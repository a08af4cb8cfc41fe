/** Texts that a regular expression matches: they are counted, and the n-th is made. Pure; the server judges what comes out. */

/** Longest pattern read, longest text made, and what a repetition without an end adds to its least. */
const LONGEST_PATTERN = 500
const LONGEST_TEXT = 1_000
const MORE = [12, 6, 3, 2, 1, 0]
const DEEPEST = 20

/** A set of texts, of which each has a number below `size`. */
export interface Texts {
  size: bigint
  longest: number
  at(n: bigint): string
}

/** Texts of at most `longest` characters; undefined where there are none, or the pattern has what is not understood here. */
export function textsOf(pattern: string, longest: number): Texts | undefined {
  if (pattern.length > LONGEST_PATTERN) return undefined
  const most = Math.min(longest, LONGEST_TEXT)
  for (const more of MORE) {
    const texts = new Reader(pattern, more).read()
    if (texts && texts.longest <= most) return texts.size > 0n ? texts : undefined
  }
  return undefined
}

/** The regular expression of a LIKE pattern. */
export function likeAsRegex(like: string): string {
  return `^${like.replaceAll(/\\(.)|%|_|[^\w\s]/g, (found, escaped?: string) => {
    if (found === '%') return '[a-z0-9]*'
    if (found === '_') return '[a-z0-9]'
    return `\\${escaped ?? found}`
  })}$`
}

/** The regular expression of a SIMILAR TO pattern. */
export function similarAsRegex(similar: string): string {
  return `^(${similar.replaceAll(/\\.|\[[^\]]{0,200}\]|%|_/g, (found) => (found === '%' ? '[a-z0-9]*' : found === '_' ? '[a-z0-9]' : found))})$`
}

const LOWER = 'abcdefghijklmnopqrstuvwxyz'
const UPPER = LOWER.toUpperCase()
const DIGITS = '0123456789'
const MARKS = '-_.:/,;+#%&=!?@*()[]{}<>|~^$\'"\\`'
/** What a class that excludes characters may have, the most ordinary first. */
const ANY = `${LOWER}${DIGITS}${UPPER} ${MARKS}`
/** What stands for any character: marks and spaces are left out, which no application likes everywhere. */
const DOT = LOWER + DIGITS

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ d: DIGITS, w: `${LOWER}${DIGITS}${UPPER}_`, s: ' ', t: '\t', n: '\n', r: '\r', f: '\f', v: '\v' },
  ...{ D: LOWER + UPPER, S: DOT, W: '-' },
}
/** Escapes that stand for a place, not for a character. */
const PLACES = 'AZmMyYbB'

const CLASSES: Readonly<Record<string, string>> = {
  ...{ alpha: LOWER + UPPER, digit: DIGITS, alnum: LOWER + DIGITS + UPPER, lower: LOWER, upper: UPPER, space: ' ' },
  ...{
    blank: ' ',
    punct: MARKS,
    xdigit: `${DIGITS}abcdefABCDEF`,
    print: ANY,
    graph: ANY.replace(' ', ''),
    word: `${LOWER}_`,
  },
}

class Unknown extends Error {}

/** Recursive descent over PostgreSQL's advanced regular expressions. Anchors and look-around take no characters. */
class Reader {
  readonly #text: string
  readonly #more: number
  #at = 0
  #depth = 0

  constructor(text: string, more: number) {
    this.#text = text.replace(/^(\*\*\*:)?(\(\?[a-z]+\))?/, '')
    this.#more = more
  }

  read(): Texts | undefined {
    try {
      const texts = this.#alternatives()
      return this.#at === this.#text.length ? texts : undefined
    } catch (error) {
      if (error instanceof Unknown) return undefined
      throw error
    }
  }

  #alternatives(): Texts {
    if (++this.#depth > DEEPEST) throw new Unknown()
    const options = [this.#sequence()]
    while (this.#take('|')) options.push(this.#sequence())
    this.#depth--
    return oneOf(options)
  }

  #sequence(): Texts {
    const parts: Texts[] = []
    while (this.#at < this.#text.length && !'|)'.includes(this.#peek())) parts.push(this.#repeated(this.#atom()))
    return inTurn(parts)
  }

  #atom(): Texts {
    const character = this.#next()
    if (character === '^' || character === '$') return EMPTY
    if (character === '.') return oneCharacter(DOT)
    if (character === '[') return oneCharacter(this.#class())
    if (character === '\\') return this.#escape()
    if (character !== '(') return oneCharacter(character)
    const looksAround = /^\?(?:[=!]|<[=!])/.exec(this.#text.slice(this.#at))
    const mark = looksAround?.[0] ?? (this.#text.startsWith('?:', this.#at) ? '?:' : '')
    this.#at += mark.length
    const inner = this.#alternatives()
    if (!this.#take(')')) throw new Unknown()
    return looksAround ? EMPTY : inner
  }

  #escape(): Texts {
    const character = this.#next()
    if (PLACES.includes(character)) return EMPTY
    const set = ESCAPES[character] ?? (/\w/.test(character) ? undefined : character)
    // A back-reference, a character by its number.
    if (set === undefined) throw new Unknown()
    return oneCharacter(set)
  }

  #class(): string {
    const excluded = this.#take('^')
    let set = ''
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      if (this.#text.startsWith('[:', this.#at)) {
        const [whole = '', name = ''] = /^\[:(\w+):\]/.exec(this.#text.slice(this.#at)) ?? []
        const named = CLASSES[name]
        if (named === undefined) throw new Unknown()
        this.#at += whole.length
        set += named
        continue
      }
      let from = this.#next()
      if (from === '\\') {
        const escaped = this.#next()
        const named = ESCAPES[escaped]
        if (named !== undefined) {
          set += named
          continue
        }
        if (/\w/.test(escaped)) throw new Unknown()
        from = escaped
      }
      if (this.#peek() === '-' && this.#text[this.#at + 1] !== ']') {
        this.#at++
        let to = this.#next()
        if (to === '\\') to = this.#next()
        set += between(from, to)
      } else set += from
    }
    this.#at++
    const characters = Array.from(excluded ? ANY : set).filter((one) => !excluded || !set.includes(one))
    return [...new Set(characters)].join('')
  }

  #repeated(texts: Texts): Texts {
    const [whole, least, comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(this.#text.slice(this.#at)) ?? []
    const character = this.#peek()
    let [from, to] = [1, 1]
    if (whole !== undefined) {
      this.#at += whole.length
      from = Number(least)
      to = comma === '' ? from : most === '' ? from + this.#more : Math.min(Number(most), from + 2 * this.#more)
    } else if ('*+?'.includes(character) && character !== '') {
      this.#at++
      from = character === '+' ? 1 : 0
      to = character === '?' ? 1 : from + this.#more
    } else return texts
    this.#take('?') // not greedy
    if (texts.longest > 0) to = Math.min(to, Math.floor(LONGEST_TEXT / texts.longest))
    if (to < from) throw new Unknown()
    return oneOf(Array.from({ length: to - from + 1 }, (_, i) => times(texts, from + i)))
  }

  #peek(): string {
    return this.#text[this.#at] ?? ''
  }

  #next(): string {
    const character = this.#text[this.#at++]
    if (character === undefined) throw new Unknown()
    return character
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false
    this.#at++
    return true
  }
}

/** The characters from one to another, as far as they can be typed. */
function between(from: string, to: string): string {
  const [first, last] = [from.charCodeAt(0), to.charCodeAt(0)]
  let set = ''
  for (let code = first; code <= Math.min(last, first + 200); code++) set += String.fromCharCode(code)
  return set
}

const EMPTY: Texts = { size: 1n, longest: 0, at: () => '' }

function oneCharacter(set: string): Texts {
  const characters = Array.from(set)
  return { size: BigInt(characters.length), longest: 1, at: (n) => characters[Number(n)] ?? '' }
}

function oneOf(options: readonly Texts[]): Texts {
  const [only] = options
  if (options.length === 1 && only) return only
  return {
    size: options.reduce((sum, option) => sum + option.size, 0n),
    longest: Math.max(...options.map((option) => option.longest)),
    at(n) {
      let rest = n
      for (const option of options) {
        if (rest < option.size) return option.at(rest)
        rest -= option.size
      }
      return ''
    },
  }
}

function inTurn(parts: readonly Texts[]): Texts {
  return {
    size: parts.reduce((product, part) => product * part.size, 1n),
    longest: parts.reduce((sum, part) => sum + part.longest, 0),
    at(n) {
      let [rest, text] = [n, '']
      for (const part of parts.toReversed()) {
        text = part.at(rest % part.size) + text
        rest /= part.size
      }
      return text
    },
  }
}

function times(texts: Texts, count: number): Texts {
  return {
    size: texts.size ** BigInt(count),
    longest: texts.longest * count,
    at(n) {
      let [rest, text] = [n, '']
      for (let i = 0; i < count; i++) {
        text = texts.at(rest % texts.size) + text
        rest /= texts.size
      }
      return text
    },
  }
}
