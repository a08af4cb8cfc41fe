/** "Did you mean": the known word closest to one that is not known. */

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

/** Edits (insert, delete, replace, swap two neighbours) from one word to the other. */
function distance(a: string, b: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min(at(row, j) + 1, at(next, j - 1) + 1, at(row, j - 1) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(before, j - 2) + 1)
      next.push(best)
    }
    ;[before, row] = [row, next]
  }
  return at(row, b.length)
}

function at(row: number[], index: number): number {
  return row[index] ?? Infinity
}
