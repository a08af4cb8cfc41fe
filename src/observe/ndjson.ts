/** Events as they are, one JSON document a line. */
import type { Sink } from '../core/events.ts'

export function ndjson(write: (text: string) => void): Sink {
  return (event) => write(`${JSON.stringify(event)}\n`)
}
