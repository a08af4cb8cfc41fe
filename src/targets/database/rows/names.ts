/** Tables by name: how people write them in params, and what that means on the target. */
import { distance } from '../../../core/edit-distance.ts'
import { ConfigError, RefusedError } from '../../../core/errors.ts'
import type { ConfigProblem } from '../../../core/errors.ts'
import type { Resource } from '../../../core/skill.ts'
import type { DbReader } from '../client.ts'
import type { Catalog } from '../verbs/reading.ts'
import type { TableRef } from './table-ref.ts'

/**
 * The tables that `names` (of `params.tables`) mean: exact `schema.table`, else a bare name along the search path; SQL
 * quoting is accepted, and each table is given once. `all` is everything discovered, unfiltered.
 * Throws ConfigError CONFIG_NOT_ON_TARGET for names that are unknown or ambiguous (all of them at once), RefusedError
 * REFUSED_UNSUITABLE for a view and the like.
 */
export async function resolveTables(
  catalog: Catalog,
  reader: Pick<DbReader, 'query' | 'searchPath'>,
  all: readonly Resource[],
  names: readonly string[],
): Promise<TableRef[]> {
  const tables = all.filter((r) => r.kind === 'table').map(tableOf)
  const problems: ConfigProblem[] = []
  const found = new Map<string, TableRef>()
  for (const [index, name] of names.entries()) {
    const table = findTable(name, tables, reader.searchPath)
    if (typeof table !== 'string') found.set(table.id, table)
    else {
      await refuseOther(catalog, reader, name)
      problems.push({ file: '', line: 0, column: 0, path: `params.tables[${index}]`, message: table })
    }
  }
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
  return [...found.values()]
}

/** The table a discovered resource stands for. */
export function tableOf(resource: Pick<Resource, 'id'>): TableRef {
  const [schema = '', table = ''] = splitName(resource.id) ?? []
  return { id: resource.id, schema, table }
}

/** `a.b` → [a, b]; quoted parts are unquoted, and no other folding is done. Undefined when the quoting does not close. */
export function splitName(name: string): string[] | undefined {
  const parts = [...name.matchAll(/(?:"((?:[^"]|"")+)"|([^".]+))(\.|$)/gy)]
  if (parts.map((p) => p[0]).join('') !== name || name.endsWith('.')) return undefined
  return parts.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '')
}

/** The table, or what is wrong with the name. */
function findTable(name: string, tables: readonly TableRef[], searchPath: readonly string[]): TableRef | string {
  const parts = splitName(name)
  if (parts?.length === 2) {
    const exact = tables.find((t) => t.schema === parts[0] && t.table === parts[1])
    if (exact) return exact
  }
  const bare = parts?.length === 1 ? parts[0] : name
  const named = tables.filter((t) => t.table === bare)
  const hits = named.filter((t) => searchPath.includes(t.schema))
  if (hits.length === 1 && hits[0]) return hits[0]
  if (hits.length > 1) return `${quote(name)} is ambiguous: write ${hits.map((t) => t.id).join(' or ')}`
  const meant = named.length > 0 ? named.map((t) => t.id) : nearest(name, tables)
  const hint = meant.length > 0 ? `; did you mean ${meant.slice(0, 3).join(' or ')}?` : ''
  return `there is no table ${quote(name)} on the target${hint}`
}

/** A name that is there but is no table deserves a better answer than "there is none". */
async function refuseOther(
  { otherThanTable }: Catalog,
  reader: Pick<DbReader, 'query' | 'searchPath'>,
  name: string,
): Promise<void> {
  const parts = splitName(name) ?? [name]
  const [schemas, table] = parts.length === 2 ? [[parts[0] ?? ''], parts[1]] : [reader.searchPath, parts[0]]
  const kind = await otherThanTable(reader, schemas, table ?? name)
  if (kind !== undefined) throw new RefusedError('REFUSED_UNSUITABLE', `${name} is ${kind}, not a table`)
}

function quote(name: string): string {
  return JSON.stringify(name)
}

/** Ids of tables whose name is a slip of the pen away: same but for case, or at most a third of the letters differ. */
function nearest(name: string, tables: readonly TableRef[]): string[] {
  const wanted = (splitName(name)?.at(-1) ?? name).toLowerCase()
  return tables
    .map((t) => ({ id: t.id, far: distance(wanted, t.table.toLowerCase()) }))
    .filter(({ far }) => far <= Math.max(1, Math.floor(wanted.length / 3)))
    .sort((a, b) => a.far - b.far)
    .map(({ id }) => id)
}
