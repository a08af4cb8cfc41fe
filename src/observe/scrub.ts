/** Takes known secret values out of every text of an event before a sink sees it. */
import type { ChaosEvent, Sink } from '../core/events.ts'

export { harmless } from '../core/events.ts'

/** Values shorter than this are too common to be searched for in texts. */
const SHORTEST = 4

export function scrubbed(secrets: readonly string[], sink: Sink): Sink {
  const long = secrets.filter((value) => value.length >= SHORTEST)
  const values = [...new Set(long.flatMap(forms))].sort((a, b) => b.length - a.length)
  if (values.length === 0) return sink
  const scrub = (value: unknown): unknown => {
    if (typeof value === 'string') return values.reduce((text, secret) => text.replaceAll(secret, '***'), value)
    if (Array.isArray(value)) return value.map(scrub)
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, scrub(v)]))
    return value
  }
  return (event) => sink(scrub(event) as ChaosEvent)
}

/** As it is, and as others write it: in a URL, in JSON, in a Basic header. */
function forms(value: string): string[] {
  const bytes = Buffer.from(value)
  // Half a character pair, which could not be encoded, has become a question mark on the way.
  const encoded = [encodeURI, encodeURIComponent].map((encode) => encode(bytes.toString()))
  const base64 = [bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')]
  return [value, JSON.stringify(value).slice(1, -1), ...encoded, ...base64]
}
