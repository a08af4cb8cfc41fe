/** Rows that fire triggers of the application: before they are committed it is tried whether they can be deleted again. */
import type { Queries } from '../client.ts'
import { messageOf, StepError } from '../../../core/errors.ts'
import { countOurs, removeOurs } from './removal.ts'
import type { Ours } from './removal.ts'
import { sqlState } from './sql.ts'

/** Deletes the rows in a subtransaction and rolls that back. Throws StepError where some would stay. */
export async function tryRemoval(on: Queries, id: string, parts: readonly Ours[]): Promise<void> {
  await on.query('savepoint chaos_trial')
  let left = 0
  try {
    for (const ours of parts) {
      await removeOurs(on, ours)
      left += (await countOurs(on, ours, 0)).present
    }
  } catch (error) {
    if (sqlState(error) === undefined) throw error
    throw new StepError('STEP_FAILED', `rows of ${id} could not be deleted again: ${messageOf(error)}`)
  }
  await on.query('rollback to savepoint chaos_trial')
  if (left > 0) {
    throw new StepError('STEP_FAILED', `the triggers of ${id} would keep ${left} rows of ours from being deleted again`)
  }
}
