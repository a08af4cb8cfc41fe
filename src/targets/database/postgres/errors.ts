/** What the SQLSTATEs of PostgreSQL mean to us. */
import type { ErrorKind } from '../dialect.ts'
import { sqlState } from './sql.ts'

const KINDS: Readonly<Record<string, ErrorKind>> = {
  ...{ '42501': 'denied', '42P01': 'gone', '3F000': 'gone', '55P03': 'locked', '57014': 'timeout' },
  ...{ '40001': 'serialization', '40P01': 'serialization', '23503': 'refers', '23505': 'duplicate' },
  // It could not give us a text in UTF-8.
  ...{ '22021': 'unreadable', '22P05': 'unreadable' },
}

export function kindOf(error: unknown): ErrorKind | undefined {
  const state = sqlState(error)
  return state === undefined ? undefined : (KINDS[state] ?? 'other')
}
