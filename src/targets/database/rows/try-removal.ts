/** Rows that fire triggers of the application: before they are committed it is tried whether they can be deleted again. */
import { messageOf, StepError } from '../../../core/errors.ts'
import type { Queries } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import type { Ours } from './proof.ts'
import { countOurs, removeOurs } from './removal.ts'

/** Deletes the rows and takes that back. Throws StepError where some would stay. */
export async function tryRemoval(
  { transactions, removals, kindOf }: Dialect,
  on: Queries,
  id: string,
  parts: readonly Ours[],
): Promise<void> {
  const left = await transactions.undone(on, async () => {
    let rows = 0
    try {
      for (const ours of parts) {
        await removeOurs(removals, on, ours)
        rows += (await countOurs(removals, on, ours, 0)).present
      }
    } catch (error) {
      if (kindOf(error) === undefined) throw error
      throw new StepError('STEP_FAILED', `rows of ${id} could not be deleted again: ${messageOf(error)}`)
    }
    return rows
  })
  if (left > 0) {
    throw new StepError('STEP_FAILED', `the triggers of ${id} would keep ${left} rows of ours from being deleted again`)
  }
}
