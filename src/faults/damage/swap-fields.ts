/** Two fields of one map that have each other's values, as a mapping gone wrong gives them. */
import type { Draws } from '../random.ts'
import { isPlain, visit, withValue } from './leaves.ts'
import type { Steps } from './leaves.ts'
import { parseMap } from './wrong-values.ts'

interface Pair {
  map: Steps
  fields: readonly [string, string]
  values: readonly [unknown, unknown]
}

export function swapFields(root: unknown, draws: Draws): unknown {
  const inner = typeof root === 'string' ? parseMap(root) : undefined
  if (inner !== undefined) {
    const swapped = swapFields(inner, draws)
    return swapped === inner ? root : JSON.stringify(swapped)
  }
  const pairs = pairsIn(root)
  const pair = pairs[draws.int(pairs.length)]
  if (pair === undefined) return root
  const { map, fields, values } = pair
  const half = withValue(root, [...map, fields[0]], values[1])
  return withValue(half, [...map, fields[1]], values[0])
}

/** Fields next to each other that hold different values of one type. */
function pairsIn(root: unknown): Pair[] {
  const pairs: Pair[] = []
  visit(root, (value, path) => {
    if (!isPlain(value)) return
    const fields = Object.keys(value)
    for (const [i, a] of fields.entries()) {
      const b = fields.slice(i + 1).find((name) => kindOf(value[name]) === kindOf(value[a]) && value[name] !== value[a])
      if (b !== undefined) pairs.push({ map: path, fields: [a, b], values: [value[a], value[b]] })
    }
  })
  return pairs
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'list' : typeof value
}
