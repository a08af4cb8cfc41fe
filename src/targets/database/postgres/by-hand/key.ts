/** The key of a step as a statement for a person has it. */
import type { Key } from '../../rows/keys.ts'
import { isBuiltinType } from '../sql.ts'

/** The same key for a person, where no catalog can be asked: what is no type of the server's own is compared as text. */
export function keyByHand(key: Key): Key {
  const columns = key.columns.map((column) => {
    if (key.integer) return { ...column, type: /^(?:smallint|integer)$/.test(column.type) ? column.type : 'bigint' }
    if (isBuiltinType(column.type)) return { ...column, equality: 'operator(pg_catalog.=)' }
    return { ...column, type: 'text', equality: '::text collate "C" operator(pg_catalog.=)' }
  })
  return { ...key, columns }
}
