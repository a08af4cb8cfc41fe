/** What a skill picks by itself: one question instead of three (what there is, what is taken, how many it may have). */
import type { PlanContext, Resource } from './skill.ts'

export interface Picking {
  /** Free (no earlier entry of this run has them) and not set aside; in an order of the seed. */
  candidates: Resource[]
  /** Free, and set aside: why, the resource says. */
  aside: Resource[]
  /** So many of them it may take (`limits.percent`, `limits.resources`). */
  most: number
}

export function pickingOf(
  { resources, taken, random, mayPick }: Pick<PlanContext<unknown>, 'resources' | 'taken' | 'random' | 'mayPick'>,
  kind: string,
): Picking {
  const free = resources.filter((resource) => resource.kind === kind && !taken.has(resource.id))
  return {
    candidates: random.shuffle(free.filter(({ aside }) => aside === undefined)),
    aside: free.filter(({ aside }) => aside !== undefined),
    most: mayPick(kind),
  }
}
