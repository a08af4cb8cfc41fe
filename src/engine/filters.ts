/** `resource_filters`: regular expressions over the whole id or the whole bare name of a resource. */
import type { Resource } from '../core/skill.ts'

export function matching(filter: string, resources: readonly Resource[]): Resource[] {
  const anchored = new RegExp(`^(?:${filter})$`)
  return resources.filter((r) => anchored.test(r.id) || anchored.test(r.name))
}
