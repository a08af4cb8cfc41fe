/** Takes known secret values out of every text of an event before a sink sees it. */
import type { Sink } from '../core/events.ts'
import { maskOf } from '../core/filled.ts'
import type { Filled, Mask } from '../core/filled.ts'

/** Values shorter than this are too common to be searched for in texts. */
const SHORTEST = 4

/** The secrets that are known so far; a configuration that is read anew brings new ones, and the old ones stay secret. */
export class Secrets {
  values: readonly string[] = []

  /** What a configuration filled in: its expressions are shown instead. */
  mask: Mask = maskOf([])
  readonly #filled = new Map<string, Filled>()

  hide(filled: readonly Filled[]): void {
    for (const one of filled) this.#filled.set(JSON.stringify(one), one)
    this.mask = maskOf([...this.#filled.values()])
  }

  add(secrets: readonly string[]): void {
    const long = secrets.filter((value) => value.length >= SHORTEST)
    this.values = [...new Set([...this.values, ...long.flatMap(forms)])].sort((a, b) => b.length - a.length)
  }
}

export function scrubbed(secrets: readonly string[] | Secrets, sink: Sink): Sink {
  const known = secrets instanceof Secrets ? secrets : new Secrets()
  if (!(secrets instanceof Secrets)) known.add(secrets)
  return (event) => sink(scrub(known, event))
}

/** The same without the secrets in its texts. */
export function scrub<T>({ values, mask }: Secrets, given: T): T {
  const data = mask.data(given)
  const clean = (value: unknown): unknown => {
    if (typeof value === 'string') return values.reduce((text, secret) => text.replaceAll(secret, '***'), value)
    if (Array.isArray(value)) return value.map(clean)
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, clean(v)]))
    return value
  }
  return values.length === 0 ? data : (clean(data) as T)
}

/** As it is, and as others write it: in a URL, in JSON, in a Basic header. */
function forms(value: string): string[] {
  const bytes = Buffer.from(value)
  // Half a character pair, which could not be encoded, has become a question mark on the way.
  const encoded = [encodeURI, encodeURIComponent].map((encode) => encode(bytes.toString()))
  const base64 = [bytes.toString('base64').replaceAll('=', ''), bytes.toString('base64url')]
  return [value, JSON.stringify(value).slice(1, -1), ...encoded, ...base64]
}
