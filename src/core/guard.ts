/** The production guard: which names of hosts, databases and namespaces must not be broken. */
import type { Safety } from './experiment.ts'

/**
 * The names that are refused, in the order given.
 *
 * A name is refused when it says production (`prod`, `production` or `live` as a word, digits may follow: `prod-db`,
 * `PROD1`, `eu.live.example`; not `products`, `delivery`, `alive`), unless an `allow` pattern matches it; and when a
 * `protected` pattern matches it, unless `allow` holds that very name without wildcards.
 */
export function protectedNames(
  names: readonly string[],
  { allow, protected: forbidden }: Pick<Safety, 'allow' | 'protected'>,
): string[] {
  return names.filter((name) => {
    if (allow.some((pattern) => !hasWildcard(pattern) && sameName(pattern, name))) return false
    if (forbidden.some((pattern) => matchesGlob(pattern, name))) return true
    return saysProduction(name) && !allow.some((pattern) => matchesGlob(pattern, name))
  })
}

/** Whether the whole of `name` fits the pattern: `*` is any text, `?` any one character, case does not matter. */
export function matchesGlob(pattern: string, name: string): boolean {
  const [want, have] = [Array.from(pattern.toLowerCase()), Array.from(name.toLowerCase())]
  // By hand, since a regular expression with many `.*` can take for ever. Only the last star ever needs to grow.
  let [p, n, star, resume] = [0, 0, -1, 0]
  while (n < have.length) {
    if (want[p] === '*') [star, resume] = [p++, n]
    else if (want[p] === '?' || want[p] === have[n]) [p, n] = [p + 1, n + 1]
    else if (star >= 0) [p, n] = [star + 1, ++resume]
    else return false
  }
  return want.slice(p).every((rest) => rest === '*')
}

function saysProduction(name: string): boolean {
  return name.split(/[^\p{L}\p{N}]+/u).some((word) => /^(?:prod|production|live)\d*$/i.test(word))
}

function hasWildcard(pattern: string): boolean {
  return /[*?]/.test(pattern)
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
