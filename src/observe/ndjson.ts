/** Events as they are, one JSON document a line. */
import type { Sink } from '../core/events.ts'
import { boundedData, jsonLine } from '../core/foreign.ts'

export function ndjson(write: (text: string) => void): Sink {
  return (event) => write(`${jsonLine(boundedData(event))}\n`)
}
