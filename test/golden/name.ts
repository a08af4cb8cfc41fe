/** What the golden journal of a skill is called: each version of its step has one. */
export function goldenName({ name, version }: { name: string; version: number }): string {
  return version === 1 ? name : `${name}-v${version}`
}
