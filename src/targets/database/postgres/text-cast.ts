/** In which form the server shows a text of a type. */
import type { ValueType } from '../rows/facts.ts'
import { numericSize } from '../rows/values/value.ts'

const TEXTS = ['text', 'varchar', 'bpchar', 'citext', 'name']
const OWN = /^(?:int[248]|float[48]|uuid|bytea|jsonb?|macaddr8?|date|inet|cidr|oid|bool|int[48]range|numrange)$/

/** The cast that gives a made-up text the form; `''`: none is needed. Undefined: the form cannot be known. */
export function castOf(type: ValueType): string | undefined {
  if (type.labels || TEXTS.includes(type.name)) return ''
  if (type.name === 'numeric') {
    const size = numericSize(type)
    return size ? `pg_catalog.numeric(${size.precision}, ${size.scale})` : 'pg_catalog.numeric'
  }
  if (/^(time|timetz|timestamp|timestamptz|interval)$/.test(type.name)) {
    return type.precision === undefined ? `pg_catalog.${type.name}` : undefined
  }
  return OWN.test(type.name) ? `pg_catalog.${type.name}` : undefined
}
