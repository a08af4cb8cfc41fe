/** "Did you mean": the known word closest to one that is not known. */
import { distance } from '../core/edit-distance.ts'

/** One of `known`, or undefined when none is close enough to be what was meant. */
export function closest(word: string, known: readonly string[]): string | undefined {
  const wanted = normal(word)
  if (wanted === '') return undefined
  const exact = known.find((k) => normal(k) === wanted)
  if (exact !== undefined) return exact
  const nearest = known
    .map((k) => ({ k, far: distance(wanted, normal(k)), allowed: Math.max(1, Math.floor(k.length / 4)) }))
    .filter(({ far, allowed }) => far <= allowed)
    .sort((a, b) => a.far - b.far)[0]
  return nearest?.k ?? known.find((k) => isPartOf(wanted, normal(k)))
}

/** ` did you mean "x"?` with its leading colon, or nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const found = closest(word, known)
  return found === undefined ? '' : `: did you mean "${found}"?`
}

/** `rowsPerTable`, `rows-per-table` and `ROWS_PER_TABLE` are one word. */
function normal(word: string): string {
  return word
    .slice(0, 100)
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll(/[-\s]/g, '_')
}

/** `url` for `connection_url`, `insert_load` for `db.insert_load`, `berlin` for `Europe/Berlin`. */
function isPartOf(word: string, known: string): boolean {
  return word.length >= 3 && known.split('.').concat(known.split(/[._/]/)).includes(word)
}
