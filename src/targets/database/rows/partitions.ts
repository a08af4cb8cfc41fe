/** Why no row can go into a partitioned table. */
import type { Partitions } from './facts.ts'

/** Why no row can go into a table through these partitions; undefined when rows can. */
export function unfitPartitions({ bounds, foreign }: Partitions): string | undefined {
  if (foreign !== null) return `its partition ${foreign} is a foreign table`
  return bounds.length === 0 ? 'it has no partitions' : undefined
}
