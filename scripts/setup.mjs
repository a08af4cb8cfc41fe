/**
 * Makes a clone ready: installs the packages package-lock.json names, and builds src into dist. Says what it does, how
 * far it is every few seconds, and how long it took; nothing when there is nothing to do. Plain JavaScript: it runs
 * before anything is installed.
 *
 *   node scripts/setup.mjs [--no-build]
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE = [20, 19]
/** Longest that another set-up of this clone is waited for. */
const WAIT_MS = 10 * 60_000
/** Longest silence. */
const SAY_MS = 5_000
/** All of src as ES modules into dist, and the fault library again as CommonJS into dist/cjs. */
const PROJECTS = ['tsconfig.json', 'tsconfig.cjs.json']
/** Then the program as few files, in the place of dist/main.js. */
const BUNDLE = ['scripts', 'bundle.mjs']

const root = fileURLToPath(new URL('..', import.meta.url))
const at = (...parts) => join(root, ...parts)

try {
  await setUp(process.argv.slice(2))
} catch (error) {
  console.error(`setup: ${error.message}`)
  process.exitCode = 1
}

async function setUp(args) {
  const unknown = args.find((arg) => arg !== '--no-build')
  if (unknown !== undefined) throw new Error(`unknown option ${unknown}; the only one is --no-build`)
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    throw new Error(`Node ${OLDEST_NODE.join('.')} or newer is needed; this is ${process.version}`)

  const build = !args.includes('--no-build')
  const ready = () => installed() && (!build || built())
  if (ready()) return
  const began = Date.now()
  await withLock(async () => {
    if (!installed()) await install()
    if (build && !built()) await compile()
  })
  console.log(`setup: ready after ${secondsSince(began)}`)
}

// ── packages ────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Whether node_modules holds what package-lock.json asks for. npm's own record of what it installed is asked first, so
 * that an `npm ci` by hand counts and an `npm install --omit=dev` by hand is noticed; our stamp is for an npm without one.
 */
function installed() {
  const wanted = JSON.parse(fs.readFileSync(at('package-lock.json'), 'utf8')).packages
  const record = read('node_modules', '.package-lock.json')
  if (record === undefined) return read('node_modules', '.chaos-installed') === lockHash()
  const present = JSON.parse(record).packages
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    const found = present[path]
    if (path === '') return true
    // Optional packages are those for other platforms.
    if (found === undefined) return optional === true
    return found.version === version && found.integrity === integrity
  })
}

/** `--include=dev`: NODE_ENV=production in the caller's environment must not leave out the compiler. */
async function install() {
  const paths = wantedHere()
  const what = `installing ${paths.length} packages (npm ci), about a minute the first time`
  const howFar = () =>
    `${paths.filter((path) => fs.existsSync(at(path, 'package.json'))).length} of ${paths.length} packages`
  await step(what, howFar, () => npm('ci', '--include=dev', '--no-audit', '--no-fund'))
  fs.writeFileSync(at('node_modules', '.chaos-installed'), lockHash())
}

/** Paths of the packages that npm installs on this platform. */
function wantedHere() {
  const fits = (list, ours) =>
    list === undefined || list.includes(ours) || (list[0]?.startsWith('!') && !list.includes(`!${ours}`))
  return Object.entries(JSON.parse(fs.readFileSync(at('package-lock.json'), 'utf8')).packages)
    .filter(([path, { os, cpu }]) => path !== '' && fits(os, process.platform) && fits(cpu, process.arch))
    .map(([path]) => path)
}

/** The npm that is running us, else the one on the path. */
function npm(...args) {
  const cli = process.env.npm_execpath
  if (cli !== undefined && basename(cli) === 'npm-cli.js') return exec(process.execPath, [cli, ...args])
  return exec('npm', args, { shell: process.platform === 'win32' })
}

function lockHash() {
  return createHash('sha256')
    .update(fs.readFileSync(at('package-lock.json')))
    .digest('hex')
}

// ── build ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Contents decide, not times: a git checkout turns times around. The stamp goes with node_modules, and so with the compiler. */
function built() {
  return (
    read('node_modules', '.chaos-built') === sourceHash() &&
    sources().every((f) => fs.existsSync(output(f))) &&
    sources('faults').every((f) => fs.existsSync(output(f, 'cjs'))) &&
    fs.existsSync(at('dist', 'cjs', 'package.json')) &&
    fs.existsSync(at('dist', 'program'))
  )
}

async function compile() {
  const hash = sourceHash()
  let done = 0
  const howFar = () => `${done} of ${PROJECTS.length + 1} builds`
  await step('building dist (tsc, esbuild)', howFar, async () => {
    for (const config of PROJECTS) {
      await exec(process.execPath, [at('node_modules', 'typescript', 'bin', 'tsc'), '-p', at(config)])
      done += 1
    }
    removeStrays()
    await exec(process.execPath, [at(...BUNDLE)])
  })
  // Without it Node would take dist/cjs for ES modules, as the package is.
  fs.mkdirSync(at('dist', 'cjs'), { recursive: true })
  fs.writeFileSync(at('dist', 'cjs', 'package.json'), '{ "type": "commonjs" }\n')
  if (fs.existsSync(at('dist', 'main.js'))) fs.chmodSync(at('dist', 'main.js'), 0o755)
  fs.writeFileSync(at('node_modules', '.chaos-built'), hash)
}

/** What an earlier build left for a source that is gone would still be importable. */
function removeStrays() {
  for (const file of walk(at('dist')).filter((file) => !file.startsWith(at('dist', 'program')))) {
    const stem = /^(?:cjs[/\\])?(.+?)(\.js|\.js\.map|\.d\.ts)$/.exec(file.slice(at('dist').length + 1))?.[1]
    if (stem !== undefined && !fs.existsSync(at('src', `${stem}.ts`))) fs.rmSync(file)
  }
}

function sources(part = '.') {
  if (!fs.existsSync(at('src', part))) return []
  return walk(at('src', part)).filter((file) => file.endsWith('.ts'))
}

function output(source, folder = '.') {
  return at('dist', folder, source.slice(at('src').length + 1).replace(/\.ts$/, '.js'))
}

function sourceHash() {
  const hash = createHash('sha256')
  for (const file of [...PROJECTS.map((name) => at(name)), at(...BUNDLE), at('package-lock.json'), ...sources()])
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(fs.readFileSync(file))
      .update('\0')
  return hash.digest('hex')
}

/** Every file below a folder, sorted. */
function walk(folder) {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort()
}

// ── one at a time ───────────────────────────────────────────────────────────────────────────────────────────────────

/** A file that holds our pid. It lies in dist because npm ci empties node_modules. */
async function withLock(work) {
  const lock = at('dist', '.setup-lock')
  fs.mkdirSync(at('dist'), { recursive: true })
  acquire(lock)
  try {
    await work()
  } finally {
    fs.rmSync(lock, { force: true })
  }
}

function acquire(lock) {
  const deadline = Date.now() + WAIT_MS
  let sayAt = 0
  for (;;) {
    try {
      return fs.writeFileSync(lock, String(process.pid), { flag: 'wx' })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const holder = Number(read('dist', '.setup-lock'))
    if (holder > 0 && !alive(holder)) removeStale(lock)
    else if (Date.now() > deadline)
      throw new Error(`process ${holder} does not finish; if it is not a set-up, remove ${lock}`)
    else if (Date.now() > sayAt && holder > 0) {
      console.log(`setup: waiting for process ${holder}, which is setting this clone up`)
      sayAt = Date.now() + SAY_MS
    }
    sleep(100)
  }
}

/** Moved aside and looked at again: another waiter may have taken the lock over between our look and our move. */
function removeStale(lock) {
  const aside = `${lock}-${process.pid}`
  try {
    fs.renameSync(lock, aside)
    if (alive(Number(fs.readFileSync(aside, 'utf8')))) fs.linkSync(aside, lock)
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error
  } finally {
    fs.rmSync(aside, { force: true })
  }
}

function alive(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

// ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Says what is done, and until it is done how far it is. */
async function step(what, howFar, work) {
  console.log(`setup: ${what}`)
  const began = Date.now()
  const timer = setInterval(() => console.log(`setup: ${howFar()} after ${secondsSince(began)}`), SAY_MS)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
}

function secondsSince(time) {
  return `${Math.round((Date.now() - time) / 1000)} s`
}

/** Runs a command in the clone; its output is shown only if it fails. */
async function exec(command, args, options = {}) {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
  const said = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk))
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`)))
    child.once('close', (...end) => resolve(end))
  })
  if (code === 0) return
  process.stderr.write(Buffer.concat(said))
  throw new Error(`${[basename(command), ...args].join(' ')} ended with ${signal ?? `exit code ${code}`}`)
}

/** A file of the clone as text; undefined when there is none. */
function read(...parts) {
  try {
    return fs.readFileSync(at(...parts), 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}
