/** Secrets and reports as they are read back: what is not of their form is a typed error that names the file. */
import { basename } from 'node:path'
import { JournalError } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { fields, flag, listOf, number, optional, text, time } from './shape.ts'

const report = fields({
  ...{ run: text, experiment: text, target: text, endpoint: text, seed: text, outcome: text, reason: optional(text) },
  ...{ recovered: flag, started_at: time, finished_at: time, soak_ms: number, notes: listOf(text), exit_code: number },
  residue: listOf(fields({ step: number, resource: text, describe: text, error: text })),
  steps: listOf(
    fields({
      ...{ step: number, skill: text, resource: text, describe: text, state: text },
      ...{ kept: optional(number), kept_names: optional(listOf(text)), error: optional(text) },
      ...{ apply_ms: optional(number), revert_ms: optional(number), effect: optional(fields({ inEffect: number })) },
    }),
  ),
})

export function parseReport(file: string, content: string): Report {
  const found = parse(content)
  if (report(found)) return found as Report
  throw new JournalError('JOURNAL_READ', `${file} is not the report of a run: put it back from a copy, or remove it`)
}

/** What it says is never quoted, not even by way of a cause: the parser's own words show the text. */
export function parseSecret(file: string, content: string): unknown {
  const found = parse(content)
  if (found !== undefined) return found
  const where = `chaos recover --run ${basename(file)} --target-config FILE says where its target is`
  throw new JournalError('JOURNAL_READ', `${file} is not JSON: what that run connected with is lost. ${where}`)
}

function parse(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return undefined
  }
}
