/** How many tables of a database db.insert_load serves, why it does not serve the rest, and whether `discover` says the same. */
import assert from 'node:assert/strict'
import { planOf, surveyOf } from '../looking.ts'

const INSERT = 'db.insert_load'
const UPDATE = 'db.update_load'

export interface Coverage {
  tables: number
  /** Without `triggers: allow`: by a plan that names no table, through the parent of a partition, or where it is named. */
  served: number
  /** With `triggers: allow` for all. */
  allowed: number
  /** Why tables are not served without `triggers: allow`. */
  reasons: { resource: string; reason: string }[]
  /** For people: the counts, and each reason. */
  lines: string[]
}

export async function coverageOf(url: string): Promise<Coverage> {
  const whole = await planOf(url, { skill: INSERT })
  const served = new Set(whole.steps.map((step) => step.resource))
  const parts = whole.skipped.filter(({ reason }) => reason.includes('its rows are reached through that table'))
  for (const { resource, reason } of parts) {
    const root = /partition of (.+): its/.exec(reason)?.[1]
    assert.ok(root !== undefined && served.has(root), `${resource}: ${reason}`)
  }
  const rest = whole.skipped.filter((one) => !parts.includes(one))
  const books = idsOf(rest.filter(({ reason }) => reason.includes('it is used only where tables names it')))
  const refusedBooks = await refusedAmong(url, books, {})
  const refused = await refusedAmong(url, [...served, ...idsOf(rest)], { triggers: 'allow' })
  const tables = served.size + whole.skipped.length
  const counts = {
    served: served.size + parts.length + books.length - refusedBooks.size,
    allowed: tables - refused.size,
  }
  return {
    ...{ tables, ...counts },
    reasons: rest.filter(({ resource }) => !books.includes(resource) || refusedBooks.has(resource)),
    lines: [
      `${tables} tables, ${counts.served} served, ${counts.allowed} with triggers: allow`,
      ...[...byReason(rest)].map(([reason, ids]) => `  not by itself, ${ids.length}: ${reason} (${someOf(ids)})`),
      ...[...refused.values()].map((message) => `  nor with triggers: allow: ${message}`),
    ],
  }
}

/** Which of these tables a plan that names them refuses, with its words: it says one at a time. */
async function refusedAmong(url: string, ids: readonly string[], params: object): Promise<Map<string, string>> {
  const refused = new Map<string, string>()
  for (;;) {
    const tables = ids.filter((id) => !refused.has(id))
    if (tables.length === 0) return refused
    try {
      await planOf(url, { skill: INSERT, params: { tables, ...params } })
      return refused
    } catch (error) {
      const message = String(error)
      const id = tables.find((one) => message.includes(`cannot use ${one}:`))
      if (id === undefined) throw error
      refused.set(id, message)
    }
  }
}

/** What `discover` offers and refuses is what a run takes and leaves, table by table (field case D18). */
export async function discoverAgrees(url: string): Promise<void> {
  const { skills } = await surveyOf(url)
  for (const [skill, params] of [
    [INSERT, {}],
    [UPDATE, { rows: 1_000 }],
  ] as const) {
    const said = skills.find((one) => one.skill === skill)
    const { steps, skipped } = await planOf(url, { skill, params })
    assert.deepEqual(idsOf(said?.served ?? []), idsOf(steps), `${skill}: what is served`)
    assert.deepEqual(reasonsOf(said?.skipped ?? []), reasonsOf(skipped), `${skill}: what is not`)
  }
}

function idsOf(list: readonly { resource: string }[]): string[] {
  return [...new Set(list.map((one) => one.resource))].sort()
}

function reasonsOf(list: readonly { resource: string; reason: string }[]): string[] {
  return list.map(({ resource, reason }) => `${resource}: ${reason}`).sort()
}

function byReason(skipped: readonly { resource: string; reason: string }[]): Map<string, string[]> {
  const reasons = new Map<string, string[]>()
  for (const { resource, reason } of skipped) {
    // Names of tables aside, many have the same one.
    const kind = reason.replaceAll(/[\w".]+_\d+\w*/g, '…')
    reasons.set(kind, [...(reasons.get(kind) ?? []), resource])
  }
  return reasons
}

function someOf(ids: readonly string[]): string {
  return `${ids.slice(0, 3).join(', ')}${ids.length > 3 ? ', …' : ''}`
}
