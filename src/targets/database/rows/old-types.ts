/** Types in steps of version 1, which had their size as one number that only PostgreSQL can read. */
import type { TypeSize } from './facts.ts'

/** Reads that number, of a type by its name. */
export type SizeOf = (name: string, typmod: number) => TypeSize

/** A type of version 1 as one of today. What has not its form is left for the step's schema to refuse. */
function typeToday(old: unknown, sizeOf: SizeOf): unknown {
  if (!isObject(old)) return old
  const { typmod, of, ...type } = old
  const size = typeof type['name'] === 'string' && typeof typmod === 'number' ? sizeOf(type['name'], typmod) : {}
  const parts: unknown = Array.isArray(of) ? of.map((part) => typeToday(part, sizeOf)) : of
  return { ...type, ...size, ...(parts === undefined ? {} : { of: parts }) }
}

/** The same for what stands in columns: `value` of an update, `source.type` of a made-up value. */
export function columnsToday(columns: unknown, sizeOf: SizeOf): unknown {
  if (!Array.isArray(columns)) return columns
  return columns.map((column: unknown) => {
    if (!isObject(column)) return column
    const { value, source } = column
    if (isObject(value)) return { ...column, value: typeToday(value, sizeOf) }
    if (isObject(source) && source['type'] !== undefined)
      return { ...column, source: { ...source, type: typeToday(source['type'], sizeOf) } }
    return column
  })
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
