/** What names without a schema mean: to code of the application while it runs, and to statements of ours. */
import type { Queries } from '../client.ts'
import type { NamePath } from '../verbs/writing.ts'
import { ownSchemas } from './catalog/foreign-code.ts'
import { quoteIdent } from './sql.ts'

export async function pathOf(
  on: Queries,
  searchPath: readonly string[],
  { trusted }: { trusted: boolean },
): Promise<NamePath> {
  const own = trusted ? await ownSchemas(on, searchPath) : searchPath
  const use = async (schemas: readonly string[]): Promise<void> => {
    await on.query(`set local search_path to ${schemas.map(quoteIdent).join(', ')}`)
  }
  return {
    theirs: () => use(['pg_catalog', ...own.filter((schema) => schema !== 'pg_catalog')]),
    ours: () => use(['pg_catalog']),
  }
}
