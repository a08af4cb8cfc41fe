/** Lets the server look, while it works for a connection of ours, whether we are still there. */
import type { Connection } from './connection.ts'
import { sqlState } from '../sql.ts'

export const CHECK = 'client_connection_check_interval'
/** Milliseconds. */
const EVERY = '1000'

/**
 * Whether it can (14 and later, not on every system): then what a killed worker was asking ends within a second. In the startup
 * packet this setting would make a server that cannot refuse the connection.
 */
export async function checksClient(connection: Connection, version: number): Promise<boolean> {
  if (version < 140_000) return false
  try {
    await connection.query('select pg_catalog.set_config($1::pg_catalog.text, $2::pg_catalog.text, false)', [
      CHECK,
      EVERY,
    ])
    return true
  } catch (error) {
    if (sqlState(error) === undefined) throw error
    return false
  }
}
