/** Draws hostile journals: real ones in which some values are others, some are of another kind, and records are moved. Seeded. */
import type { Random } from '../../../src/core/random.ts'
import { CHAIN_START, decodeLine, encodeLine } from '../../../src/journal/format.ts'
import { hostileTexts, HOSTILE_NUMBERS, wrongKinds } from './words.ts'
import type { Bait } from './words.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** The records of a journal, or of any other file that holds JSON. */
export function recordsOf(journal: Buffer): Json[] {
  return journal
    .toString('latin1')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(decodeLine(Buffer.from(line, 'latin1'))?.json ?? 'null') as Json)
}

/** With checksums that fit: to the reader it is whole. */
export function journalOf(records: readonly Json[]): Buffer {
  let prev = CHAIN_START
  const lines = records.map((record, i) => {
    const { bytes, crc } = encodeLine(i + 1, prev, JSON.stringify(record))
    prev = crc
    return bytes
  })
  return Buffer.concat(lines)
}

export interface Drawn {
  records: Json[]
  /** What was changed: paths and operations. */
  changes: string[]
}

/** Between one and five changes; one in six draws changes every text of one record. */
export function forge(given: readonly Json[], random: Random, bait: Bait): Drawn {
  const texts = hostileTexts(bait)
  const records = JSON.parse(JSON.stringify(given)) as Json[]
  const changes: string[] = []
  if (random.int(6) === 0) {
    const at = random.int(records.length)
    for (const place of placesIn(records[at] ?? null, [])) {
      // Its type and its run stay: else nobody reads the rest.
      if (typeof valueAt(records[at], place) !== 'string' || /^(type|run|at|target|skill)$/.test(place[0] ?? ''))
        continue
      if (random.int(3) > 0) put(records, [String(at), ...place], random.pick(texts) ?? '')
    }
    return { records, changes: [`every text of record ${at + 1}`] }
  }
  for (let n = 1 + random.int(5); n > 0; n--) {
    const what = random.int(12)
    if (what === 0) changes.push(moved(records, random))
    else {
      const places = placesIn(records, []).filter((place) => place.length > 1)
      // Half of them in what the undo is given: a step's data, and the facts of it.
      const inside = places.filter((place) => place[1] === 'data' || place[1] === 'facts')
      const place = random.pick(random.int(2) === 0 && inside.length > 0 ? inside : places) ?? []
      const value = another(valueAt(records, place), random, texts)
      changes.push(`${place.join('.')} = ${JSON.stringify(value).slice(0, 120)}`)
      put(records, place, value)
    }
  }
  return { records, changes }
}

function another(now: unknown, random: Random, texts: readonly string[]): Json {
  const text = random.pick(texts) ?? ''
  const kind = random.int(10)
  if (kind === 0) return random.pick(wrongKinds(text)) as Json
  if (kind === 1 || typeof now === 'number') return random.pick(HOSTILE_NUMBERS) ?? 0
  if (Array.isArray(now)) return kind < 5 ? [...(now as Json[]), text] : now.map(() => text)
  if (typeof now === 'object' && now !== null && kind < 6) return { ...(now as { [key: string]: Json }), [text]: text }
  return text
}

function moved(records: Json[], random: Random): string {
  const [from, to] = [random.int(records.length), random.int(records.length)]
  const record = JSON.parse(JSON.stringify(records[from] ?? null)) as Json
  if (random.int(3) === 0 && records.length > 2) records.splice(from, 1)
  else records.splice(to, 0, record)
  return `record ${from + 1} moved or doubled at ${to + 1}`
}

/** Paths of everything that is in a value. */
function placesIn(value: unknown, path: readonly string[]): string[][] {
  if (typeof value !== 'object' || value === null || path.length > 9) return []
  return Object.keys(value).flatMap((key) => {
    const here = [...path, key]
    // Of long lists the beginning says as much as all of it.
    if (Array.isArray(value) && path.length > 0 && Number(key) > 3) return []
    return [here, ...placesIn((value as Record<string, unknown>)[key], here)]
  })
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (Object(at) as Record<string, unknown>)[key], value)
}

function put(value: unknown, path: readonly string[], to: Json): void {
  const holder = valueAt(value, path.slice(0, -1))
  const key = path.at(-1)
  if (typeof holder === 'object' && holder !== null && key !== undefined)
    Object.defineProperty(holder, key, { value: to, enumerable: true, writable: true, configurable: true })
}

/** One JSON text with some of its values changed, as a file of the state folder. */
export function forgeFile(content: Json, random: Random, bait: Bait): string {
  if (random.int(8) === 0) return random.pick(hostileTexts(bait)) ?? ''
  const { records } = forge([content], random, bait)
  return JSON.stringify(records[0] ?? null)
}
