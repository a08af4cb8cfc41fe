/** db.config_change: changes server settings with ALTER SYSTEM, and takes every line of the file back to where it stood. */
import { z } from 'zod'
import { RollbackError, StaleError, StepError } from '../../../core/errors.ts'
import type { DatabaseSkill } from '../dialect.ts'
import type { SkillSpec } from '../../../core/skill.ts'
import {
  backLine,
  isQuotedList,
  isWritable,
  lineOf,
  nextUndo,
  quoteSetting,
  readLines,
  sameValue,
  setLine,
} from '../postgres/settings/auto-conf.ts'
import type { Undo } from '../postgres/settings/auto-conf.ts'
import { inPsql, literal, remark } from '../postgres/by-hand/psql.ts'
import type { DbClient, DbReader } from '../client.ts'
import { planSettings } from '../postgres/settings/plan.ts'
import type { SettingChange } from '../postgres/settings/plan.ts'
import { decidesCode, readValue, sameSetting } from '../postgres/settings/rules.ts'
import { readFiles, readSettings, reload, seenByNewClient } from '../postgres/settings/live.ts'

const change = z.strictObject({
  param: z.string().trim().min(1),
  value: z
    .union([z.string(), z.number(), z.boolean()])
    .transform((v) => (typeof v === 'boolean' ? (v ? 'on' : 'off') : String(v))),
})

const params = z.strictObject({
  changes: z
    .array(change)
    .min(1)
    .check(({ value, issues }) => {
      for (const [i, { param }] of value.entries()) {
        const first = value.findIndex((c) => c.param.toLowerCase() === param.toLowerCase())
        if (first === i) continue
        const message = `${param} is changed by changes[${first}] already: one change per setting and run`
        issues.push({ code: 'custom', input: param, path: [i, 'param'], message })
      }
    }),
})

const step = z.strictObject({
  name: z.string(),
  value: z.string(),
  before: z.string().nullable(),
  order: z.array(z.string()),
  expected: z.string(),
  visible: z.boolean(),
  list: z.boolean().optional(),
})

export const configChange: DatabaseSkill<z.infer<typeof params>, SettingChange> = (): SkillSpec<
  DbReader,
  DbClient,
  z.infer<typeof params>,
  SettingChange
> => ({
  name: 'db.config_change',
  summary: 'Change server settings (ALTER SYSTEM); rollback puts the old values back, or removes the lines',
  params,
  step,
  version: 1,
  scope: 'server',
  phase: 'setting',
  failsafe: 'none',

  // The setting that every application feels and none depends on; two values, since one may be what it has already.
  asks: () =>
    ['1MB', '2MB'].map((value) => ({
      resource: 'setting:work_mem',
      params: { changes: [{ param: 'work_mem', value }] },
    })),

  plan: (ctx, { changes }) => planSettings(ctx, changes),

  async apply({ target, mark, clock, signal }, step) {
    const before = await seenByNewClient(target, mark, step.name, signal)
    if (typeof before === 'object' && ['command line', 'environment variable'].includes(before.source)) {
      throw new StaleError(`${step.name} comes from the server's ${before.source}: ALTER SYSTEM has no effect on it`)
    }
    if (step.visible && typeof before === 'object' && before.setting === step.expected) {
      throw new StaleError(`${step.name} has that value by now`)
    }
    const session = await target.session(mark, signal)
    try {
      const line = lineOf(await readLines(session), step.name)
      if (!sameValue(step.name, line?.value ?? null, step.before, step.list)) {
        throw new StaleError(`somebody has changed the line of ${step.name} in postgresql.auto.conf since the plan`)
      }
      await session.query(setLine(step))
      await reload(session, clock, signal)
    } finally {
      await session.close()
    }
    if (!step.visible || typeof before !== 'object') return
    const after = await seenByNewClient(target, mark, step.name, signal)
    if (typeof after === 'object' && after.setting === before.setting) {
      throw new StepError('STEP_FAILED', `${step.name} has no effect: new sessions have it from ${after.source}`)
    }
  },

  async inspect({ target, mark, signal }, step) {
    const { state } = nextUndo(await readLines(target), step)
    const still = (what: string) => ({ inEffect: 1, restored: 0, foreign: 0, names: [`${step.name}${what}`] })
    if (state === 'ours') return still('')
    if (state === 'foreign') return { inEffect: 0, restored: 0, foreign: 1, names: [step.name] }
    if (state === 'moved') return still(' (the order of the lines)')
    if (await stillRuns(target, mark, step, signal)) return still(' (not loaded yet)')
    return { inEffect: 0, restored: 1, foreign: 0 }
  },

  async revert({ target, mark, clock, signal }, step) {
    if (writesCode(step) && writesCode(step, (await readSettings(target)).get(step.name.toLowerCase())?.vartype))
      throw new RollbackError(
        'RESIDUE',
        `${step.name} decides which code the server runs, and is not written from a journal: set it back by hand`,
      )
    // First the value, and in effect; then the order of the lines.
    const changed = await undoLines(target, step, ['ours'], signal)
    const runs = (): Promise<boolean | undefined> => stillRuns(target, mark, step, signal)
    if (changed || (await runs()) !== false) {
      await reload(target, clock, signal).catch(async (error: unknown) => {
        // Files that somebody has broken meanwhile cannot be loaded; then ours may never have been either.
        if ((await runs()) !== false) throw error
      })
    }
    // Once more, because pg_settings gives the line numbers of the last load.
    if (await undoLines(target, step, ['moved', 'strays'], signal)) {
      await reload(target, clock, signal).catch(() => undefined)
    }
  },

  byHand(step, { config }) {
    if (writesCode(step))
      return {
        lines: [
          remark(
            `look at ${step.name} in postgresql.auto.conf: it decides which code the server runs, and no value of a journal's is put there`,
          ),
        ],
        holdsValues: false,
      }
    if (step.before !== null && !isWritable({ ...step, value: step.before })) {
      const how = `restore the empty line of ${step.name} in postgresql.auto.conf with an editor, and reload the server`
      return { lines: [remark(how)], holdsValues: false }
    }
    const what = remark(`takes ${step.name} in postgresql.auto.conf back, if it is still ours; needs a superuser`)
    return {
      lines: [what, ...inPsql(config, [...undoByHand(step), 'select pg_reload_conf();'])],
      // There are settings with passwords in them.
      holdsValues: step.before !== null,
    }
  },
})

/** No run changes such a setting: only a journal that somebody has changed says so. */
function writesCode({ name, before }: SettingChange, vartype?: string): boolean {
  return before !== null && decidesCode(name, vartype)
}

/** psql runs what these queries return: the statement where the line is still ours, and then those behind it back behind it. */
function undoByHand(step: SettingChange): string[] {
  // The server writes lists in a form of its own.
  const plain = (text: string): string => (isQuotedList(step.name) ? `translate(${text}, '" ', '')` : text)
  const file = `from pg_file_settings where sourcefile ~ '/postgresql[.]auto[.]conf$' and lower(name) =`
  const isOurs = `${file} lower(${literal(step.name)}) and ${plain('setting')} = ${plain(literal(step.value))}`
  const back = `select ${literal(backLine(step))} where exists (select ${isOurs}) \\gexec`
  if (step.before === null) return [back]
  const behind = step.order.slice(step.order.indexOf(step.name.toLowerCase()) + 1)
  const again = behind.map((name) => {
    const value = isQuotedList(name)
      ? `case when setting in ('', '""') then quote_literal('') else setting end`
      : 'quote_literal(setting)'
    return `select ${literal(`ALTER SYSTEM SET ${quoteSetting(name)} = `)} || ${value} ${file} ${literal(name)} order by seqno desc limit 1 \\gexec`
  })
  return [back, ...again]
}

/** Runs the statement of the file's state while it is one of these. True when one was run. */
async function undoLines(
  target: DbClient,
  step: SettingChange,
  states: readonly Undo['state'][],
  signal: AbortSignal,
): Promise<boolean> {
  for (let n = 0; ; n++) {
    signal.throwIfAborted()
    const lines = await readLines(target)
    const next = nextUndo(lines, step)
    if (!('statement' in next) || !states.includes(next.state)) return n > 0
    if (n > 2 * lines.length + 10) {
      throw new RollbackError('RESIDUE', `somebody keeps changing settings, so ${step.name} cannot be put in its place`)
    }
    try {
      await target.query(next.statement)
    } catch (error) {
      // Lines that others have added may be beyond our privileges. Standing before ours they do no harm.
      if (next.state === 'strays') return n > 0
      throw error
    }
  }
}

/** Whether new sessions get our value although the files say something else; undefined when nobody can tell. */
async function stillRuns(
  target: DbClient,
  mark: string,
  step: SettingChange,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const seen = step.visible ? await seenByNewClient(target, mark, step.name, signal) : undefined
  if (seen === 'ended') return true
  if (!seen) return undefined
  if (seen.source !== 'configuration file') return false
  const settings = await readSettings(target)
  const setting = settings.get(step.name.toLowerCase())
  if (!setting || !sameSetting(setting.vartype, seen.setting, step.expected)) return false
  // Somebody may want the same value by now, and say so in another file.
  const written = (await readFiles(target, settings)).get(step.name.toLowerCase())
  const read = written === undefined ? undefined : readValue(setting, written)
  return !(read && 'value' in read && sameSetting(setting.vartype, read.value, step.expected))
}
