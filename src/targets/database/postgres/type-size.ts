/** Length, precision and scale out of the one number in which PostgreSQL packs them (`atttypmod`). */
import type { TypeSize } from '../rows/facts.ts'

/** Of a type by its internal name; -1 says nothing. */
export function sizeOf(name: string, typmod: number): TypeSize {
  switch (name) {
    case 'varchar':
    case 'bpchar':
      return typmod > 4 ? { length: typmod - 4 } : {}
    case 'numeric': {
      const packed = typmod - 4
      return packed < 0 ? {} : { precision: (packed >> 16) & 0xffff, scale: ((packed & 0x7ff) ^ 1024) - 1024 }
    }
    case 'time':
    case 'timetz':
    case 'timestamp':
    case 'timestamptz':
    // The fields of an interval are not kept: what they are is no matter, only that something is said.
    case 'interval':
      return typmod < 0 ? {} : { precision: typmod & 0xffff }
    case 'bit':
    case 'varbit':
    case 'vector':
    case 'halfvec':
      return typmod > 0 ? { length: typmod } : {}
    default:
      return {}
  }
}
