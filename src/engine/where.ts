/** Which places an experiment is on: how many its entries ask for, and which ones, by the seed alone. */
import type { SkillEntry, Where } from '../core/experiment.ts'
import { seededRandom } from '../core/random.ts'

/** For each entry the places that it is on, in the order of `ids`. The same seed chooses the same, whoever answers. */
export function placesOfEntries(
  entries: readonly Pick<SkillEntry, 'where'>[],
  ids: readonly string[],
  seed: string,
): string[][] {
  const random = seededRandom(seed)
  return entries.map(({ where = 'all' }, index) => {
    if (where === 'all') return [...ids]
    const chosen = new Set(
      random
        .fork(`where/${index}`)
        .shuffle([...ids])
        .slice(0, howMany(where, ids.length)),
    )
    return ids.filter((id) => chosen.has(id))
  })
}

/** `percent` of them, rounded down, and never less than one. */
function howMany(where: Exclude<Where, 'all'>, all: number): number {
  return typeof where === 'number' ? where : Math.max(1, Math.floor((all * parseFloat(where)) / 100))
}
