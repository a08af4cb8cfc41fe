/**
 * Texts of databases that are not in UTF-8. Our client reads and writes UTF-8: some texts of other encodings have no form in it
 * (SQL_ASCII takes any bytes), and some come back as other bytes (EUC_JP has two codes for some characters). Neither could be
 * put back as it was, so rows with such texts are left alone.
 */
import { sqlState } from '../sql.ts'
import type { Queries } from '../../client.ts'

/** SQL: true when `text` reaches us and comes back as it was; NULL for NULL. Throws (`isUnreadable`) when it has no form in UTF-8. */
export function returnsExactly(text: string): string {
  return `(pg_catalog.convert_from(pg_catalog.convert_to(${text}, 'UTF8'), 'UTF8') collate pg_catalog."C" = ${text} collate pg_catalog."C")`
}

/** SQL: true when `text` is ASCII, which every encoding has; NULL for NULL. Never throws. */
export function isPlain(text: string): string {
  return `(${text} collate pg_catalog."C" OPERATOR(pg_catalog.!~) '[^\\x01-\\x7f]')`
}

/** The server could not give us a text in UTF-8. */
export function isUnreadable(error: unknown): boolean {
  return ['22021', '22P05'].includes(sqlState(error) ?? '')
}

/** The database's encoding where it is not ours; undefined where all texts arrive. */
export async function foreignEncoding(reader: Queries): Promise<string | undefined> {
  const [row] = await reader.query<{ encoding: string }>('select pg_catalog.getdatabaseencoding()::text as encoding')
  return row === undefined || row.encoding === 'UTF8' ? undefined : row.encoding
}
