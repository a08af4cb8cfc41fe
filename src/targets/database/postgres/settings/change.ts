/** One changed setting: its line written and put back, whether it is in effect, and the same for a person. */
import { RollbackError } from '../../../../core/errors.ts'
import type { ByHand } from '../../../../core/skill.ts'
import type { DbClient } from '../../client.ts'
import type { SettingChange, Settings, SettingState } from '../../dialect.ts'
import { inPsql, literal, remark } from '../by-hand/psql.ts'
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
} from './auto-conf.ts'
import { readFiles, readSettings, reload, seenByNewClient, vartypeOf } from './live.ts'
import { planSettings } from './plan.ts'
import { decidesCode, readValue, sameSetting } from './rules.ts'

export const settings: Settings = {
  statement: 'ALTER SYSTEM',
  whereWritten: (name) => `the line of ${name} in postgresql.auto.conf`,
  stronger: ['command line', 'environment variable'],
  plan: planSettings,
  seen: seenByNewClient,
  reload,
  async isAsPlanned(on, { name, before, list }) {
    const line = lineOf(await readLines(on), name)
    return sameValue(name, line?.value ?? null, before, list)
  },
  async write(on, change) {
    await on.query(setLine(change))
  },
  async state(on, change) {
    return nextUndo(await readLines(on), change).state
  },
  stillRuns,
  // The catalog is asked only where the name alone says so.
  async decidesCode(on, change) {
    return writesCode(change) && writesCode(change, await vartypeOf(on, change.name))
  },
  putBack: undoLines,
}

export function settingByHand(config: unknown, step: SettingChange): ByHand {
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
}

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
  states: readonly SettingState[],
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
