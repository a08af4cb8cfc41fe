/** Rows of others that already refer to a key which nobody has yet: a new row under that key would be theirs to keep. */
import { StaleError } from '../../../core/errors.ts'
import type { Queries } from '../client.ts'
import type { Inserts } from '../verbs/writing.ts'
import type { ForeignKey } from './facts.ts'
import type { Key, Keys } from './keys.ts'
import type { TableRef } from './table-ref.ts'

/** Orphans refer to rows just inserted: they must not be committed. */
export class AdoptedError extends StaleError {
  constructor(table: string, { from, columns }: ForeignKey) {
    super(
      `rows of ${from.id} refer (${columns.join(', ')}) to the keys that new rows of ${table} would get; delete or correct those first`,
    )
  }
}

/** Referring rows without an index above which nobody looks: they would all be read for each batch. */
const TOO_MANY = 1e7

/**
 * Throws AdoptedError when rows that were there before refer to one of ours, not yet committed: a foreign key that was
 * never validated or is not enforced, or rows loaded past it. The undo could not delete such a row without harm.
 */
export async function refuseAdopted(
  inserts: Inserts,
  on: Queries,
  table: TableRef,
  { key, keys, referencing }: { key: Key; keys: Keys; referencing: readonly ForeignKey[] },
): Promise<void> {
  const known = referencing.filter(({ fromIndexed, fromRows }) => fromIndexed || fromRows <= TOO_MANY)
  const found = await inserts.firstAdopting(on, table, { key, keys }, known)
  if (found) throw new AdoptedError(table.id, found)
}
