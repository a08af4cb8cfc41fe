/** Putting values back by hand. */
import type { ByHand } from '../../../../core/skill.ts'
import type { OverwrittenRows } from '../../verbs/writing.ts'
import { keyByHand } from './key.ts'
import { quoteIdent, quoteTable } from '../sql.ts'
import { inPsql, literal, remark } from './psql.ts'
import { asRecorded } from './recorded-names.ts'

export function swapBackByHand(config: unknown, step: OverwrittenRows): ByHand {
  const { changed = [], pure } = step
  if (pure || changed.length === 0) {
    return { lines: [remark(`no value of ${step.id} was changed: there is nothing to do`)], holdsValues: false }
  }
  const names = asRecorded(step, [...step.key.columns, ...step.columns])
  const what = remark(`puts values of ${changed.length} rows of ${step.id} back, each where it is still ours`)
  return { lines: [what, ...inPsql(config, [names, 'begin;', ...updatesByHand(step), 'commit;'])], holdsValues: true }
}

/** A statement for each value, so that a person can read what it does. */
function updatesByHand({
  schema,
  table,
  key,
  keys,
  columns,
  changed = [],
  before = [],
  ours = [],
}: OverwrittenRows): string[] {
  return changed.flatMap((at, i) => {
    const row = keyByHand(key).columns.map(
      (c, k) => `t.${quoteIdent(c.name)} ${c.equality} ${literal(keys[at]?.[k] ?? '')}::${c.type}`,
    )
    return columns.map(({ name }, c) => {
      const column = quoteIdent(name)
      const isOurs = `t.${column}::text collate "C" = ${literal(ours[i]?.[c] ?? null)}`
      const back = `${column} = ${literal(before[i]?.[c] ?? null)}`
      return `update ${quoteTable({ schema, table })} as t set ${back} where ${[...row, isOurs].join(' and ')};`
    })
  })
}
