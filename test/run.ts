/**
 * Runs the tests, each file in a process of its own.
 *
 *   node --import ./scripts/ts.mjs test/run.ts [--fast] [--expect-skips FILE] [PART_OF_A_PATH…]
 *
 * `--fast` leaves out what starts systems or takes long. `--expect-skips` names a JSON list of `{test, reason}`: the
 * tests that are skipped must be exactly those. Near the end are the ten files whose processes took longest, with the
 * processor time of the file and of the processes that it waited for, and of the machine as a whole; the last line is
 * always `N passed, N failed, N skipped`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join, relative, resolve, sep } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const SLOW = /^test\/(e2e|crash|labs|skills|field)\/|\.slow\./
/** A file that takes longer than this hangs. */
const FILE_TIMEOUT_MS = 30 * 60_000
/** So many files are named with the time that they took. */
const SLOWEST = 10
/** Begun first, in this order, so that none of them is still running when all others have ended: what the last lines of a run named. */
const LONGEST = [
  'test/field/shapes.test.ts',
  'test/e2e/service-kills.test.ts',
  'test/e2e/service.test.ts',
  'test/e2e/bad-state.test.ts',
  'test/crash/matrix.test.ts',
  'test/e2e/selftest.test.ts',
  'test/skills/config_change.test.ts',
  'test/e2e/application.test.ts',
  'test/e2e/application-attacks.test.ts',
  'test/e2e/commands.test.ts',
  'test/model/model.slow.test.ts',
  'test/skills/insert_load.test.ts',
  'test/crash/kill.test.ts',
  'test/crash/mutations.slow.test.ts',
]

interface Skip {
  test: string
  reason: string
}

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: options, positionals: parts } = parseArgs({
  allowPositionals: true,
  options: { fast: { type: 'boolean', default: false }, 'expect-skips': { type: 'string' } },
})
const expected = options['expect-skips'] === undefined ? undefined : readSkips(options['expect-skips'])
// The children inherit our --import ./scripts/ts.mjs, which is resolved from the working directory.
process.chdir(root)
const processors = processorTime()
const files = testFiles()
const { passed, failed, skips, problems } = await runFiles(files)

const slowest = files.map((file) => ({ file, ...processors.of(file) })).sort((a, b) => b.took - a.took)
for (const { file, took, used } of slowest.slice(0, SLOWEST))
  console.log(`slow: ${seconds(took)}, of a processor ${seconds(used)}  ${file}`)
console.log(`the processors were busy for ${processors.busy()} % of the time`)
processors.end()
for (const skip of skips) console.log(`skipped: ${skip.test} (${skip.reason})`)
if (expected) problems.push(...differences(expected, skips))
if (passed + failed + skips.length === 0) problems.push('no test ran')
for (const problem of problems) console.log(`failed: ${problem}`)
process.exitCode = failed > 0 || problems.length > 0 ? 1 : 0
console.log(`${passed} passed, ${failed} failed, ${skips.length} skipped`)

function testFiles(): string[] {
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((name) => `test/${name.replaceAll(sep, '/')}`)
    .filter((path) => path.endsWith('.test.ts') && !(options.fast && SLOW.test(path)))
    .filter((path) => parts.length === 0 || parts.some((part) => path.includes(part)))
    .sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1))
}

function place(path: string): number {
  const i = LONGEST.indexOf(path)
  return i < 0 ? LONGEST.length : i
}

/** Counts tests, not suites. What ends a file early counts as failed, also where node:test lets it pass. */
async function runFiles(paths: string[]) {
  const result = { passed: 0, failed: 0, skips: [] as Skip[], problems: [] as string[] }
  const unfinished = new Map<string, number>()
  const fail = (problem: string) => {
    result.failed++
    result.problems.push(problem)
  }
  const stream = run({
    files: paths.map((path) => join(root, path)),
    // One more than there are cores: many files wait, for soaks, locks and processes.
    concurrency: availableParallelism() + 1,
    timeout: FILE_TIMEOUT_MS,
  })
  const count = (file: string | undefined, by: number) =>
    unfinished.set(file ?? '', (unfinished.get(file ?? '') ?? 0) + by)
  stream.on('test:enqueue', ({ name, file }) => {
    if (!isFile(name, file)) count(file, 1)
  })
  stream.on('test:pass', ({ name, file, skip, todo, details }) => {
    // node:test reports a file that ended well without a single result as a passed test of the file's name.
    if (isFile(name, file)) {
      fail(`${relative(root, name)}: ended without the result of any test`)
      return
    }
    count(file, -1)
    if (skip !== undefined || todo !== undefined) result.skips.push({ test: name, reason: reasonOf(skip, todo) })
    else if (details.type !== 'suite') result.passed++
  })
  stream.on('test:fail', ({ name, file, todo, details }) => {
    if (isFile(name, file)) {
      fail(`${relative(root, name)}: ended with an error`)
      return
    }
    count(file, -1)
    const { failureType } = details.error as { failureType?: string }
    if (todo !== undefined) result.skips.push({ test: name, reason: reasonOf(undefined, todo) })
    else if (details.type !== 'suite' || failureType !== 'subtestsFailed')
      fail(`${relative(root, file ?? '')}: ${name}`)
  })
  for await (const text of stream.compose(new spec())) process.stdout.write(text as string)
  for (const [file, n] of unfinished) if (n > 0) fail(`${relative(root, file)}: ended with ${n} tests unfinished`)
  return result
}

/**
 * Each process of ours writes at its end how long it was there, and what it and the processes that it waited for have used,
 * which Linux tells. Not by the tests: those that a file registers through a shared one count as the shared one's.
 */
function processorTime() {
  const folder = mkdtempSync(join(tmpdir(), 'test-times-'))
  const atExit = `import { readFileSync, writeFileSync } from 'node:fs'
    process.on('exit', () => {
      let used = 0
      try {
        used = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ').slice(11, 15).reduce((sum, n) => sum + 10 * n, 0)
      } catch {}
      try {
        writeFileSync(${JSON.stringify(folder)} + '/' + process.pid, JSON.stringify([process.argv[1], 1e3 * process.uptime(), used]))
      } catch {}
    })`
  // Children inherit it, as they do our --import ./scripts/ts.mjs.
  process.execArgv.push('--import', `data:text/javascript,${encodeURIComponent(atExit)}`)
  const before = cpus()
  return {
    /** Milliseconds: how long its process was there, and how much of a processor it used. */
    of(file: string): { took: number; used: number } {
      const written = readdirSync(folder)
        .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as [string, number, number])
        .filter(([path]) => path === join(root, file))
      return { took: sum(written.map(([, took]) => took)), used: sum(written.map(([, , used]) => used)) }
    },
    busy(): number {
      const spent = cpus().map(({ times }, i) => {
        const was = before[i]?.times ?? times
        const all = (t: typeof times) => t.user + t.nice + t.sys + t.irq + t.idle
        return { all: all(times) - all(was), idle: times.idle - was.idle }
      })
      const [all, idle] = [sum(spent.map((s) => s.all)), sum(spent.map((s) => s.idle))]
      return Math.round((100 * (all - idle)) / Math.max(1, all))
    },
    end(): void {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1).padStart(7)} s`
}

function isFile(name: string, file: string | undefined): boolean {
  return resolve(name) === file
}

function reasonOf(skip: string | boolean | undefined, todo: string | boolean | undefined): string {
  if (skip !== undefined) return typeof skip === 'string' && skip !== '' ? skip : 'no reason given'
  return typeof todo === 'string' && todo !== '' ? `todo: ${todo}` : 'todo'
}

function readSkips(file: string): Skip[] {
  const list = JSON.parse(readFileSync(file, 'utf8')) as unknown
  const isSkip = (s: unknown): s is Skip =>
    typeof s === 'object' && s !== null && 'test' in s && 'reason' in s && typeof s.test === 'string'
  if (!Array.isArray(list) || !list.every(isSkip)) throw new Error(`${file}: expected a JSON list of {test, reason}`)
  return list
}

/** Compared as lists: a title may be skipped in two files. */
function differences(wanted: Skip[], found: Skip[]): string[] {
  const text = (s: Skip) => `${s.test} (${s.reason})`
  const missing = wanted.map(text)
  const extra = found.map(text).filter((skip) => {
    const i = missing.indexOf(skip)
    if (i >= 0) missing.splice(i, 1)
    return i < 0
  })
  return [
    ...extra.map((s) => `skipped, which was not expected: ${s}`),
    ...missing.map((s) => `not skipped, although expected: ${s}`),
  ]
}
