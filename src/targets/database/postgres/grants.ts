/** GRANT lines say in which database they count: functions and tables of another one are others. */
import { TargetError } from '../../../core/errors.ts'
import type { Plan } from '../../../core/skill.ts'
import { quoteIdent } from './sql.ts'

/** One GRANT a line, each with its database; what counts for the whole server stays as it is. */
function inDatabase(fix: string, database: string): string {
  return fix
    .replaceAll('; GRANT ', ';\nGRANT ')
    .split('\n')
    .map((line) =>
      /^GRANT .*;$/.test(line) && !/ ON PARAMETER /.test(line)
        ? `${line} -- in database ${quoteIdent(database)}`
        : line,
    )
    .join('\n')
}

/** The same for everything that a plan or its error tells. */
export async function namingDatabase<S>(
  plan: () => Promise<Plan<S>>,
  database: () => Promise<string>,
): Promise<Plan<S>> {
  try {
    const planned = await plan()
    if (!planned.skipped?.some((one) => one.fix !== undefined)) return planned
    const name = await database()
    const skipped = planned.skipped.map((one) =>
      one.fix === undefined ? one : { ...one, fix: inDatabase(one.fix, name) },
    )
    return { ...planned, skipped }
  } catch (error) {
    if (!(error instanceof TargetError) || error.fix === undefined) throw error
    const fix = inDatabase(error.fix, await database())
    throw new TargetError(
      error.code,
      error.message.replace(error.fix, () => fix),
      { fix, cause: error.cause },
    )
  }
}
