/** JSON that may satisfy a CHECK: of every kind, and with the keys and values that its expression names. */
import type { Random } from '../../../../core/random.ts'

const OBJECTS = 120
const KEYS = 12

export function jsonCandidates(
  { texts, sizes }: { texts: readonly string[]; sizes: readonly number[] },
  random: Random,
): string[] {
  const keys = keysOf(texts)
  const named = texts.slice(0, 2 * KEYS)
  const plain: unknown[] = [
    'chaos',
    1,
    true,
    false,
    [],
    [1],
    ['chaos'],
    {},
    [{}],
    null,
    0,
    '2024-01-01',
    'chaos@example.invalid',
  ]
  const numbers = texts.filter((text) => /^-?\d{1,9}$/.test(text)).map(Number)
  const values = [...plain, ...named, ...numbers, ...keys.map((key) => ({ [key]: 'chaos' }))]
  const objects: unknown[] = [
    ...plain.map((value) => Object.fromEntries(keys.map((key) => [key, value]))),
    ...keys.flatMap((key) => [...plain, ...named].map((value) => ({ [key]: value }))),
    ...Array.from({ length: keys.length > 0 ? OBJECTS : 0 }, () =>
      Object.fromEntries(
        keys.filter(() => random.next() < 0.9).map((key) => [key, random.pick(values) ?? null] as const),
      ),
    ),
  ]
  const lists = sizes.filter((n) => n <= 40).map((n) => Array.from({ length: n }, (_, i) => i))
  const all: unknown[] = [
    ...plain,
    ...lists,
    ...named,
    ...numbers,
    named,
    keys,
    ...random.shuffle(objects).slice(0, 2 * OBJECTS),
  ]
  const listed = objects.slice(0, plain.length).map((object) => [object])
  return [...texts.filter(isJson), ...[...all, ...listed].map((value) => JSON.stringify(value))]
}

/** Texts that may be keys; of a path (`{a,b}`), its parts. */
function keysOf(texts: readonly string[]): string[] {
  const parts = texts.flatMap((text) =>
    /^\{.*\}$/.test(text)
      ? text.slice(1, -1).split(',')
      : /^\$\./.test(text)
        ? (/^\$\.(\w+)/.exec(text)?.slice(1) ?? [])
        : [text],
  )
  return [...new Set(parts)].filter((key) => key !== '' && key.length <= 60 && !KINDS.includes(key)).slice(0, KEYS)
}

/** What `jsonb_typeof` returns: more likely to be compared with that than to be a key. */
const KINDS = ['object', 'array', 'string', 'number', 'boolean', 'null']

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
