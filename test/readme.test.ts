/** What the README and the pages behind it say of commands, options, exit codes, keys, defaults and figures is true of the program. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Context } from '../src/cli/context.ts'
import { runProgram } from '../src/cli/program.ts'
import { DEFAULT_LIMITS } from '../src/config/entries.ts'
import { parseConfig } from '../src/config/load.ts'
import { experimentSchema, flatEntrySchema, settingsSchema, skillSchema } from '../src/config/schema.ts'
import { parseDuration } from '../src/core/duration.ts'
import { ERROR_CODES } from '../src/core/errors.ts'
import { DEFAULT_TIMING } from '../src/core/experiment.ts'
import { worstExitCode } from '../src/core/report.ts'
import { targets } from '../src/targets/index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
/** The README, and the pages that its tables are on. */
const readme = ['README.md', ...['commands', 'configuration', 'guarantees', 'state'].map((name) => `docs/${name}.md`)]
  .map(read)
  .join('\n')
const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
)

/** Runs a command line without a daemon and without a state folder of its own. */
async function chaos(...argv: string[]): Promise<{ code: number; text: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-test-'))
  let text = ''
  const context: Context = {
    targets: () => Promise.resolve(targets),
    ...{ main: '', version: '0', env: { CHAOS_STATE_DIR: folder }, tty: false },
    out: (more) => void (text += more),
    err: (more) => void (text += more),
  }
  try {
    return { code: await runProgram(argv, context), text }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The rows of the first table after a text, as cells without their outer spaces; `\|` is no border. */
function tableAfter(text: string): string[][] {
  const from = readme.indexOf(text)
  assert.ok(from >= 0, `the README has no ${JSON.stringify(text)}`)
  const lines = readme.slice(from).split('\n')
  const first = lines.findIndex((line) => line.startsWith('|'))
  const rows: string[][] = []
  for (const line of lines.slice(first)) {
    if (!line.startsWith('|')) break
    rows.push(
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    )
  }
  return rows.slice(2)
}

const codes = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
const optionsIn = (text: string): string[] => [...text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([option]) => option)
const keysOf = (schema: z.ZodType): string[] =>
  Object.keys(
    (z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as { properties?: object }).properties ?? {},
  )

/** Of the program: each visible command with the options that it takes. */
async function commandsWithOptions(): Promise<Map<string, string[]>> {
  const { text } = await chaos('--help')
  const names = text
    .slice(text.indexOf('Commands:'))
    .split('\n')
    .flatMap((line) => /^ {2}([a-z][a-z-]*)/.exec(line)?.[1] ?? [])
    .filter((name) => name !== 'help')
  const found = new Map<string, string[]>()
  for (const name of names) {
    const help = (await chaos(name, '--help')).text
    found.set(
      name,
      help
        .slice(help.indexOf('Options:'))
        .split('\n')
        .flatMap((line) => /^ {2}(?:-\w, )?(--[a-z-]+)/.exec(line)?.[1] ?? [])
        .filter((option) => option !== '--help'),
    )
  }
  return found
}

test('every command and option that the table of commands names is there, and none is left out', async () => {
  const known = await commandsWithOptions()
  const named = new Set<string>()
  for (const [usage = '', cell = ''] of tableAfter('## Commands')) {
    // What is too long for a cell stands below its table.
    const meaning = `${cell} ${readme.split('\n').find((line) => line.startsWith(`- ${usage}: `)) ?? ''}`
    const ofRow = [...codes(usage), ...codes(meaning)]
      .map((code) => code.split(' ')[0] ?? '')
      .filter((n) => known.has(n))
    for (const name of ofRow) named.add(name)
    const [first] = codes(usage).map((code) => code.split(' ')[0] ?? '')
    assert.ok(known.has(first ?? ''), `chaos has no command ${first ?? usage}`)
    const taken = ofRow.flatMap((name) => known.get(name) ?? [])
    for (const option of optionsIn(`${usage} ${meaning}`))
      assert.ok(taken.includes(option), `${ofRow.join(', ')} ${option}`)
  }
  assert.deepEqual(
    [...known.keys()].filter((name) => !named.has(name)),
    [],
  )
  const everywhere = new Set(documents.flatMap((file) => optionsIn(read(file))))
  for (const [name, options] of known)
    for (const option of options) assert.ok(everywhere.has(option), `no document names ${name} ${option}`)
})

test('which commands take --json and --state-dir, and which need a daemon, is as the README says', async () => {
  const known = await commandsWithOptions()
  const except = (option: string): string[] => {
    const said = new RegExp(`each but ([^.]*?) takes \`${option}`, 'i').exec(readme)?.[1] ?? ''
    return codes(said.slice(said.lastIndexOf('ach but') + 1)).sort()
  }
  for (const option of ['--json', '--state-dir']) {
    const without = [...known].filter(([, options]) => !options.includes(option)).map(([name]) => name)
    assert.deepEqual(without.sort(), except(option), option)
  }
  const need = codes(/^(.*) need a running daemon/m.exec(readme)?.[1] ?? '')
  assert.ok(need.length > 5)
  for (const name of need) {
    const argument = known.has(name) && /\[options\] </.test((await chaos(name, '--help')).text) ? ['e'] : []
    const { code, text } = await chaos(name, ...argument)
    assert.deepEqual([code, /no daemon is up/.test(text)], [1, true], `${name}: ${text}`)
  }
  for (const argv of [['freeze'], ['unfreeze'], ['report'], ['digest'], ['recover'], ['list-skills']]) {
    const { text } = await chaos(...argv)
    assert.doesNotMatch(text, /no daemon is up/, argv.join(' '))
  }
})

test('a newcomer reads the README in ten minutes: it has at most 250 lines', () => {
  assert.ok(read('README.md').split('\n').length <= 251)
})

test('list-skills prints what the README shows', async () => {
  const { text } = await chaos('list-skills')
  const shown = /\$ chaos list-skills\n([\s\S]*?)```/.exec(readme)?.[1]
  assert.equal(shown, text)
  const skills = targets.flatMap((target) => target.skills.map(({ name }) => name))
  for (const name of skills) assert.ok(readme.includes(`\`${name}\``), `${name} is in no table`)
})

test('the exit codes are those of the program, and the worst counts in the order that is said', () => {
  const rows = tableAfter('| exit code | meaning |').map(([cell = '']) => cell.split(',').map(Number))
  const said = rows.flat()
  for (const [code, number] of Object.entries(ERROR_CODES)) assert.ok(said.includes(number), `${code} ${number}`)
  const program = new Set<number>([0, 70, 130, 143, ...Object.values(ERROR_CODES)])
  for (const number of said) assert.ok(program.has(number), `nothing ends with ${number}`)
  const order = (/Of several experiments the worst counts: ([\d, ]+)/.exec(readme)?.[1] ?? '').split(', ').map(Number)
  assert.ok(order.length > 5)
  for (const [i, worse] of order.entries())
    for (const better of order.slice(i + 1)) assert.equal(worstExitCode([better, worse, 0]), worse)
})

test('the tables of keys are complete, name no key that is refused, and give the defaults that are used', () => {
  const cases: [string, string[]][] = [
    ['**An experiment**', keysOf(experimentSchema)],
    ['**A skill**', keysOf(skillSchema)],
    ['**When it runs**', keysOf(flatEntrySchema).filter((key) => !keysOf(experimentSchema).includes(key))],
    ['**`settings`**', keysOf(settingsSchema)],
  ]
  for (const [title, keys] of cases) {
    const named = tableAfter(title).flatMap(([cell = '']) => codes(cell).map((code) => code.split('.')[0] ?? ''))
    assert.deepEqual([...new Set(named)].sort(), [...keys].sort(), title)
  }
  const settings = settingsSchema.parse({})
  const used: Record<string, unknown> = {
    max_concurrent: settings.max_concurrent,
    timezone: DEFAULT_TIMING.timezone,
    on_busy: DEFAULT_TIMING.on_busy,
    jitter: DEFAULT_TIMING.jitter_ms,
    on_missed: DEFAULT_TIMING.on_missed,
    missed_grace: DEFAULT_TIMING.missed_grace_ms,
    stop_deadline: settings.stop_deadline,
    trust: settings.trust,
    'history.keep_days': settings.history.keep_days,
    'limits.rows': DEFAULT_LIMITS.rows,
    'limits.resources': DEFAULT_LIMITS.resources,
    'limits.percent': DEFAULT_LIMITS.percent,
    'limits.duration': DEFAULT_LIMITS.duration_ms,
  }
  for (const [cell = '', preset = ''] of tableAfter('**`settings`**')) {
    const [key = ''] = codes(cell)
    const [value] = codes(preset)
    if (value === undefined || !(key in used)) continue
    const said = typeof used[key] === 'number' && /[a-z]$/.test(value) ? parseDuration(value) : value
    assert.equal(String(said), String(used[key]), key)
  }
})

test('what a target_config may hold is in its table', () => {
  for (const target of targets) {
    const title = target.name === 'database' ? '**The database**' : '**An application**'
    const named = tableAfter(title).flatMap(([cell = '']) => codes(cell))
    assert.deepEqual([...named].sort(), keysOf(target.config).sort(), target.name)
  }
})

test('the parameters of every skill are in the table of skills, and no others', () => {
  const documented = new Map<string, Set<string>>()
  let skills: string[] = []
  for (const [skill = '', param = ''] of tableAfter('## Skills and their parameters')) {
    if (skill !== '') skills = codes(skill)
    for (const name of skills) {
      const params = documented.get(name) ?? new Set()
      for (const code of codes(param)) params.add(code)
      documented.set(name, params)
    }
  }
  for (const target of targets) {
    const shared = documented.get(`${target.name === 'application' ? 'app' : 'db'}.*`) ?? new Set<string>()
    for (const skill of target.skills) {
      const known = new Set(paramsOf(skill.params))
      const own = documented.get(skill.name) ?? new Set<string>()
      for (const name of own) assert.ok(known.has(name), `${skill.name} has no parameter ${name}`)
      for (const name of known) assert.ok(own.has(name) || shared.has(name), `${skill.name} ${name} is in no table`)
    }
  }
})

/** Of a union, those of every member. */
function paramsOf(schema: z.ZodType): string[] {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as {
    properties?: object
    anyOf?: { properties?: object }[]
  }
  return [json, ...(json.anyOf ?? [])].flatMap(({ properties }) => Object.keys(properties ?? {}))
}

test('the figures of the guarantees are those in the code', () => {
  const figures: [RegExp, string, RegExp][] = [
    [/waits for orphans up to 20 s/, 'src/supervisor/lock.ts', /ORPHAN_MS = 20_000/],
    [/one that is silent for 60 s is killed/, 'src/supervisor/worker-process.ts', /SILENCE_MS = 60_000/],
    [/tries again after 5 s/, 'src/daemon/recovery-rounds.ts', /RETRY_FIRST_MS = 5_000/],
    [/up to every 5 minutes/, 'src/daemon/recovery-rounds.ts', /RETRY_LONGEST_MS = 5 \* 60_000/],
    [/more than 30 s late/, 'src/schedule/due-times.ts', /TOLERANCE_MS = 30_000/],
    [/at most an hour each/, 'src/daemon/dispatch.ts', /QUEUE_WAIT_MS = 60 \* 60_000/],
    [/\| 4 MiB put by for undos/, 'src/journal/file-ballast.ts', /4 \* 1024 \* 1024|4 \* 2 \*\* 20|4 << 20/],
    [/Node 20\.19 or newer/, 'package.json', /"node": ">=20\.19"/],
  ]
  for (const [said, file, code] of figures) {
    assert.ok(said.test(readme), `the README no longer says ${said.source}`)
    assert.ok(code.test(read(file)), `${file} does not say what the README does: ${said.source}`)
  }
})

test('every link of the documents leads somewhere, to a heading that is there', () => {
  const anchors = (file: string): string[] =>
    [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    )
  for (const file of documents) {
    for (const [, link = ''] of read(file).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? file : join(dirname(file), path)
      assert.ok(existsSync(join(root, target)), `${file}: ${link}`)
      if (anchor !== undefined) assert.ok(anchors(target).includes(anchor), `${file}: ${link}`)
    }
  }
})

test('npm scripts and files that the README names are there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const [, name = ''] of readme.matchAll(/npm run ([a-z]+)/g)) assert.ok(scripts[name], `npm run ${name}`)
  for (const [, name = ''] of readme.matchAll(/`([a-z-]+\.yaml)`/g))
    if (!['shop.yaml', 'chaos.yaml', 'bad.yaml'].includes(name)) assert.ok(existsSync(join(root, 'config', name)), name)
})

test('the first experiment of the README is valid, and its schedule too', async () => {
  const yaml = /`shop\.yaml`:\n\n```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const options = { targets, env: { DATABASE_URL: 'postgres://chaos:secret@db.staging:5432/shop?sslmode=verify-full' } }
  const { experiments, warnings } = await parseConfig('shop.yaml', yaml, options)
  assert.equal(experiments.length, 1)
  assert.equal(experiments[0]?.experiment.duration_ms, 10_000)
  const lines = /Add a line to the experiment[\s\S]*?```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const scheduled = yaml
    .replace(/ {2}- name: busy-shop\n/, lines.replace(/ {4}duration:.*\n/, ''))
    .replace('duration: 10s', 'duration: 5s')
  const again = await parseConfig('shop.yaml', scheduled, { ...options, require: 'schedule' })
  assert.equal(again.experiments[0]?.schedule, '*/15 * * * * *')
  assert.deepEqual([warnings, again.warnings], [[], []])
})
