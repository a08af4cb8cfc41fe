/** The rows that db.update_load changes: sampled, spread over the table. */
import type { PlanContext } from '../../../core/skill.ts'
import type { DbReader } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import type { KeySample, Samples } from '../verbs/reading.ts'
import { noForm } from './catalog.ts'
import type { Column, Table } from './facts.ts'
import type { Key } from './keys.ts'

/** Values of one row that are larger in all, bytes, are left alone: they have to fit into the journal. */
const ROW_BYTES = 64 * 1024
/** Tables with more rows are sampled by pages. */
const LARGE = 50_000

export interface ChosenRows {
  table: Table
  key: Key
  columns: Column[]
  /** The columns have too few values: they are written with the values they have. */
  pure: boolean
}

export interface SampledRow {
  key: string[]
  bytes: number
}

interface Sampled {
  rows: SampledRow[]
  /** Which rows were left out for what is in them, as the rest of a sentence. */
  except?: string
}

export function noneLeft(except: string | undefined): string {
  return except === undefined ? 'it has no rows left to change' : `of all its rows ${except}`
}

/** At most `count` rows spread over the table, none that an earlier invocation of this run has taken. */
export async function sampleRows(
  { samples, kindOf }: Dialect,
  ctx: PlanContext<DbReader>,
  chosen: ChosenRows,
  count: number,
  encoding: string | undefined,
): Promise<Sampled> {
  const fits = await samples.staying(ctx.target, chosen.table, chosen.pure ? [] : chosen.columns)
  const sample = (texts: KeySample['texts']): Promise<SampledRow[]> =>
    sampleOf(samples, ctx, chosen, count, { texts, fits })
  const full = { rows: [], ...(fits === undefined ? {} : { except: 'there is no room on a page for a longer value' }) }
  if (encoding === undefined) {
    const rows = await sample('all')
    return rows.length > 0 ? { rows } : full
  }
  const except = `the texts of key and columns ${noForm(encoding)}`
  const plain = async (): Promise<Sampled> => ({ rows: await sample('plain'), except })
  try {
    const rows = await sample('exact')
    return rows.length > 0 ? { rows } : await plain()
  } catch (error) {
    if (kindOf(error) !== 'unreadable') throw error
    return plain()
  }
}

/** `texts` as in `KeySample`; `fits`: the condition under which a row stays one that fits. */
async function sampleOf(
  samples: Samples,
  ctx: PlanContext<DbReader>,
  { table, key, columns }: ChosenRows,
  count: number,
  { texts, fits }: Pick<KeySample, 'texts' | 'fits'>,
): Promise<SampledRow[]> {
  const random = ctx.random.fork(`${table.id}/rows`)
  const seed = random.int(2 ** 31)
  const prefix = `${table.id}#`
  const spare = [...ctx.taken].filter((id) => id.startsWith(prefix)).length
  const limit = count + spare
  const read = async (from: KeySample['from']): Promise<SampledRow[]> => {
    const sample = { texts, fits, bytes: ROW_BYTES, limit, seed, from }
    const rows = await samples.keys(ctx.target, { table, key, columns }, sample)
    return rows.filter((row) => !ctx.taken.has(prefix + row.key.join(','))).slice(0, count)
  }
  if (table.rows <= LARGE) return read('all')
  const percent = Math.min(100, (2_000 * limit) / Math.max(1, table.rows))
  const sampled = await read({ percent })
  return sampled.length > 0 ? sampled : read('first')
}
