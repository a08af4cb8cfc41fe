/** Plans changes of settings: whether each may and can be made, what its line is to be, and what is worth knowing first. */
import { distance } from '../../../../core/edit-distance.ts'
import { ConfigError, messageOf, RefusedError } from '../../../../core/errors.ts'
import type { ConfigProblem } from '../../../../core/errors.ts'
import type { Plan, PlanContext } from '../../../../core/skill.ts'
import {
  isQuotedList,
  isUnknownList,
  isWritable,
  lineOf,
  lostOnRewrite,
  readLines,
  sameValue,
  splitList,
} from './auto-conf.ts'
import type { SettingChange } from '../../dialect.ts'
import type { Line } from './auto-conf.ts'
import type { DbReader } from '../../client.ts'
import { caution, readValue, dangerousCategories, sameSetting, whyRefused, whyValueRefused } from './rules.ts'
import type { Setting } from './rules.ts'
import { isPinned, overridesOf, readFiles, readSettings, requirePrivileges, tryValue, unloaded } from './live.ts'

/** `changes` as in params. Throws ConfigError for names and values that are not on the target, RefusedError, TargetError. */
export async function planSettings(
  { target, taken, signal }: PlanContext<DbReader>,
  changes: readonly { param: string; value: string }[],
): Promise<Plan<SettingChange>> {
  const settings = await readSettings(target)
  const wanted = findSettings(changes, settings, taken)
  const dangerous = dangerousCategories(settings)
  for (const { setting } of wanted) {
    const why = whyRefused(setting, dangerous)
    if (why !== undefined) throw new RefusedError('REFUSED_UNSUITABLE', `${setting.name} is not changed: ${why}`)
  }
  const names = wanted.map(({ setting }) => setting.name)
  await requirePrivileges(target, names)
  const lines = await readLines(target)
  const behind = linesBehind(lines, names)
  await requirePrivileges(target, [...names, ...behind.map(({ name }) => name)])
  const files = await readFiles(target, settings)

  const plan: Required<Plan<SettingChange>> = { steps: [], skipped: [], notes: await notesOn(target, settings, files) }
  const problems: ConfigProblem[] = []
  for (const [i, { setting, value }] of wanted.entries()) {
    signal.throwIfAborted()
    const overrides = await overridesOf(target, setting.name)
    const ours = overrides.some((o) => o.ours)
    const found = await planOne(target, { setting, text: value, lines, settings, files, ours })
    const resource = `setting:${setting.name}`
    if ('problem' in found) problems.push(problem(i, 'value', found.problem))
    else if ('reason' in found) plan.skipped.push({ resource, reason: found.reason })
    else {
      const describe = `set ${setting.name} to ${JSON.stringify(found.value)} for the whole server`
      // The order of the lines is shared: two runs never change settings of one server at once.
      plan.steps.push({ resource, touches: ['settings', resource], step: found, describe })
      plan.notes.push(...cautions(setting, overrides))
    }
  }
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
  return plan
}

/** The server's settings that are meant, in the order of `changes`. */
function findSettings(
  changes: readonly { param: string; value: string }[],
  settings: ReadonlyMap<string, Setting>,
  taken: ReadonlySet<string>,
): { setting: Setting; value: string }[] {
  const problems: ConfigProblem[] = []
  const found = changes.flatMap(({ param, value }, i) => {
    const setting = settings.get(param.toLowerCase())
    if (setting && !taken.has(`setting:${setting.name}`)) return [{ setting, value }]
    const why = setting
      ? `${setting.name} is changed by an earlier entry of this run already`
      : `the server has no setting ${JSON.stringify(param)}, or does not show it to us${didYouMean(param, settings)}`
    problems.push(problem(i, 'param', why))
    return []
  })
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
  return found
}

function didYouMean(word: string, settings: ReadonlyMap<string, Setting>): string {
  const near = [...settings]
    .map(([lower, { name }]) => ({ name, far: distance(word.toLowerCase(), lower) }))
    .filter(({ far }) => far <= Math.max(1, Math.floor(word.length / 3)))
    .sort((a, b) => a.far - b.far)
    .map(({ name }) => name)
  return near.length > 0 ? `; did you mean ${near.slice(0, 3).join(' or ')}?` : ''
}

/** To put a line back where it stood, all lines behind it have to be written again. */
function linesBehind(lines: readonly Line[], names: readonly string[]): Line[] {
  const lower = names.map((name) => name.toLowerCase())
  const first = lines.findIndex((line) => lower.includes(line.name.toLowerCase()))
  return first < 0 ? [] : lines.slice(first + 1)
}

/** Whether ALTER SYSTEM will not take this line as it stands: somebody has written it by hand. */
function isByHandOnly(line: Line, settings: ReadonlyMap<string, Setting>): boolean {
  const name = line.name.toLowerCase()
  const setting = settings.get(name)
  if (!isWritable(line) || ['allow_alter_system', 'data_directory'].includes(name)) return true
  return setting !== undefined && setting.vartype !== 'enum' && 'problem' in readValue(setting, line.value)
}

interface Wanted {
  setting: Setting
  text: string
  lines: readonly Line[]
  settings: ReadonlyMap<string, Setting>
  files: ReadonlyMap<string, string>
  /** Our role or database has a value of its own. */
  ours: boolean
}

const NOT_KNOWN_HOW =
  'takes a list, and this version of chaos-agents does not know how the server quotes it: only a single plain word can be set'

/** The change, why there is none to make, or what is wrong with the value. */
async function planOne(
  target: DbReader,
  { setting, text, lines, settings, files, ours }: Wanted,
): Promise<SettingChange | { reason: string } | { problem: string }> {
  if (setting.source === 'command line' || setting.source === 'environment variable') {
    return { reason: `${setting.name} comes from the server's ${setting.source}: ALTER SYSTEM has no effect on it` }
  }
  const list = await isUnknownList(target, setting)
  const value = isQuotedList(setting.name) ? await quotedList(target, splitList(setting.name, text)) : text
  if (!isWritable({ name: setting.name, value, list })) return { problem: `${setting.name} ${NOT_KNOWN_HOW}` }
  const read = await readOnServer(target, setting, value)
  if ('problem' in read) return read
  const why = whyValueRefused(setting, read.value)
  if (why !== undefined) {
    throw new RefusedError('REFUSED_UNSUITABLE', `${setting.name} is not set to ${JSON.stringify(value)}: ${why}`)
  }
  const line = lineOf(lines, setting.name)
  const before = line?.value ?? null
  const running = await runningValue(target, setting, files)
  const visible = running !== undefined && !ours
  const fixed = linesBehind(lines, [setting.name]).filter((behind) => isByHandOnly(behind, settings))
  if (fixed.length > 0) {
    const which = fixed.map((behind) => behind.name).join(', ')
    return { reason: `behind its line stand lines that ALTER SYSTEM could not write again (${which}): move them up` }
  }
  if (sameValue(setting.name, before, value, list) || (visible && sameSetting(setting.vartype, running, read.value))) {
    return { reason: `${setting.name} is ${JSON.stringify(value)} already: it would change nothing` }
  }
  const order = lines.map(({ name }) => name.toLowerCase())
  const change = { name: line?.name ?? setting.name, value, before, order, expected: read.value, visible }
  return list ? { ...change, list } : change
}

/** Our own reading knows what is allowed; the server has the last word where it can be asked. */
async function readOnServer(
  target: DbReader,
  setting: Setting,
  text: string,
): Promise<{ value: string } | { problem: string }> {
  const read = readValue(setting, text)
  // Some words of an enum are taken but not listed.
  if ('problem' in read && setting.vartype !== 'enum') return read
  const tried = await tryValue(target, setting, text)
  return tried && 'problem' in read && 'problem' in tried ? read : (tried ?? read)
}

/** As the server stores a list: each name quoted where it needs to be. */
async function quotedList(target: DbReader, parts: readonly string[]): Promise<string> {
  const [row] = await target.query<{ list: string | null }>(
    `select string_agg(quote_ident(p), ', ' order by i) as list from unnest($1::text[]) with ordinality u(p, i)`,
    [parts],
  )
  return row?.list ?? '""'
}

/** What new clients get. Some settings our own connection pins; of these the files tell. */
async function runningValue(
  target: DbReader,
  setting: Setting,
  files: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  if (!isPinned(setting)) return setting.setting
  const written = files.get(setting.name.toLowerCase()) ?? setting.boot_val
  const read = written === null ? undefined : await readOnServer(target, setting, written)
  return read && 'value' in read ? read.value : undefined
}

async function notesOn(
  target: DbReader,
  settings: ReadonlyMap<string, Setting>,
  files: ReadonlyMap<string, string>,
): Promise<string[]> {
  const waiting = unloaded(settings, files).join(', ')
  const also = `the reload also puts edits into effect that somebody has made and not loaded yet: ${waiting}`
  return [...(await lostComments(target)), ...(waiting === '' ? [] : [also])]
}

/** ALTER SYSTEM writes the whole file anew. */
async function lostComments(target: DbReader): Promise<string[]> {
  try {
    const [row] = await target.query<{ text: string }>(`select pg_catalog.pg_read_file('postgresql.auto.conf') as text`)
    return lostOnRewrite(row?.text ?? '')
  } catch (error) {
    return [
      `we may not look for comments in postgresql.auto.conf (${messageOf(error)}); if it has any, ALTER SYSTEM drops them for good`,
    ]
  }
}

function cautions(setting: Setting, overrides: readonly { who: string }[]): string[] {
  const word = caution(setting.name)
  const notFelt = overrides.map(
    ({ who }) => `${setting.name} has a value of its own for ${who}: the change is not felt there`,
  )
  return word === undefined ? notFelt : [word, ...notFelt]
}

function problem(index: number, key: string, message: string): ConfigProblem {
  return { file: '', line: 0, column: 0, path: `params.changes[${index}].${key}`, message }
}
