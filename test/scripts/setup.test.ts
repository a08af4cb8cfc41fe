import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  cpSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const SETUP = fileURLToPath(new URL('../../scripts/setup.mjs', import.meta.url))
const INSTALLS = 'setup: installing 1 packages (npm ci), about a minute the first time'
const BUILDS = 'setup: building dist (tsc, esbuild)'
/** Without the time, which differs. */
const READY = 'setup: ready'

test('a fresh clone gets its packages and is built, once', (t) => {
  const clone = makeClone(t)
  assert.deepEqual(setUp(clone).said, [INSTALLS, BUILDS, READY])
  assert.equal(statSync(join(clone, 'dist/main.js')).mode & 0o111, 0o111)
  assert.deepEqual(setUp(clone), { said: [], progress: [], status: 0 })
})

test('--no-build installs and does not build', (t) => {
  const clone = makeClone(t)
  assert.deepEqual(setUp(clone, '--no-build').said, [INSTALLS, READY])
  assert.equal(existsSync(join(clone, 'dist/main.js')), false)
})

test('packages are installed again when the lock file asks for others, and when some were left out by hand', (t) => {
  const clone = makeClone(t)
  setUp(clone)
  write(clone, 'package-lock.json', lockFile({ typescript: '2.0.0' }))
  assert.deepEqual(setUp(clone).said, [INSTALLS, BUILDS, READY])
  write(clone, 'node_modules/.package-lock.json', lockFile({}))
  assert.deepEqual(setUp(clone).said, [INSTALLS, BUILDS, READY])
})

test('packages that npm ci installed by hand are taken as they are, without those for other platforms', (t) => {
  const clone = makeClone(t)
  setUp(clone)
  rmSync(join(clone, 'node_modules/.chaos-installed'))
  write(clone, 'package-lock.json', lockFile({ typescript: '1.0.0' }, { fsevents: '1.0.0' }))
  assert.equal(setUp(clone).said.includes(INSTALLS), false)
})

test('an npm that keeps no record of what it installed is run once, not each time', (t) => {
  const clone = makeClone(t)
  setUp(clone)
  rmSync(join(clone, 'node_modules/.package-lock.json'))
  assert.deepEqual(setUp(clone).said, [])
})

test('a changed source is built again, and the output of a removed one is removed', (t) => {
  const clone = makeClone(t)
  setUp(clone)
  write(clone, 'src/main.ts', 'changed')
  rmSync(join(clone, 'src/core/old.ts'))
  assert.deepEqual(setUp(clone).said, [BUILDS, READY])
  assert.equal(readFileSync(join(clone, 'dist/main.js'), 'utf8'), 'changed')
  assert.equal(existsSync(join(clone, 'dist/core/old.js')), false)
})

test('a missing output is built again', (t) => {
  const clone = makeClone(t)
  setUp(clone)
  rmSync(join(clone, 'dist/core/old.js'))
  assert.deepEqual(setUp(clone).said, [BUILDS, READY])
})

test('a missing bundle is built again, and what it consists of is no stray', (t) => {
  const clone = makeClone(t)
  setUp(clone)
  rmSync(join(clone, 'dist/program'), { recursive: true })
  assert.deepEqual(setUp(clone).said, [BUILDS, READY])
  write(clone, 'src/main.ts', 'changed')
  write(clone, 'dist/program/old.js', 'still loaded by a daemon')
  assert.deepEqual(setUp(clone).said, [BUILDS, READY])
  assert.equal(existsSync(join(clone, 'dist/program/old.js')), true)
})

test('a build that fails fails the set-up, and is tried again the next time', (t) => {
  const clone = makeClone(t)
  write(clone, 'src/main.ts', 'type error')
  const { status, said } = setUp(clone)
  assert.equal(status, 1)
  assert.match(said.join('\n'), /main\.ts: wrong[^]*ended with exit code 2/)
  write(clone, 'src/main.ts', 'right')
  const again = setUp(clone)
  assert.deepEqual(again.said, [BUILDS, READY])
  assert.equal(again.status, 0)
})

test('of two set-ups at once one does the work and the other waits for it', async (t) => {
  const clone = makeClone(t)
  const runs = await Promise.all([1, 2].map(() => setUpMeanwhile(clone)))
  assert.deepEqual(
    runs.map(({ status }) => status),
    [0, 0],
  )
  const said = runs.flatMap((run) => run.said).filter((line) => !line.includes('waiting') && line !== READY)
  assert.deepEqual(said, [INSTALLS, BUILDS])
})

test('the lock of a set-up that was killed is taken over', (t) => {
  const clone = makeClone(t)
  const { pid } = spawnSync(process.execPath, ['-e', ''])
  write(clone, 'dist/.setup-lock', String(pid))
  assert.deepEqual(setUp(clone).said, [INSTALLS, BUILDS, READY])
  assert.equal(existsSync(join(clone, 'dist/.setup-lock')), false)
})

test('S15: an install that was silent until its end says how many packages it installs, and how far it is', (t) => {
  const clone = makeClone(t)
  const other = process.platform === 'linux' ? 'darwin' : 'linux'
  const packages = {
    '': {},
    'node_modules/typescript': { version: '1.0.0' },
    'node_modules/here': { version: '1.0.0', os: [process.platform], cpu: [process.arch] },
    'node_modules/not-there': { version: '1.0.0', optional: true, os: [`!${other}`] },
    'node_modules/elsewhere': { version: '1.0.0', optional: true, os: [other] },
  }
  write(clone, 'package-lock.json', JSON.stringify({ packages }))
  // Slower than the longest silence; one package of three is there, of another only its folder.
  const slow = 'mkdir -p node_modules/here node_modules/not-there; echo {} > node_modules/here/package.json; sleep 7'
  write(clone, '../bin/npm', NPM.replace('sleep 0.3;', `${slow};`))
  const { status, said, progress } = setUp(clone)
  assert.equal(status, 0)
  const installs = 'setup: installing 3 packages (npm ci), about a minute the first time'
  assert.deepEqual(said, [installs, BUILDS, READY])
  assert.match(progress[0] ?? '', /^setup: 1 of 3 packages after \d+ s$/)
})

test('an unknown option is refused', (t) => {
  assert.equal(setUp(makeClone(t), '--clean').status, 1)
})

/** A clone with two sources, the set-up, and beside it an npm that installs a compiler, slowly; the compiler copies. */
function makeClone(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'setup-test-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const clone = join(folder, 'clone')
  write(clone, 'package-lock.json', lockFile({ typescript: '1.0.0' }))
  write(clone, 'tsconfig.json', '{}')
  write(clone, 'tsconfig.cjs.json', '{}')
  write(clone, 'src/main.ts', 'main')
  write(clone, 'src/core/old.ts', 'old')
  write(clone, 'scripts/bundle.mjs', BUNDLE)
  cpSync(SETUP, join(clone, 'scripts/setup.mjs'))
  write(folder, 'bin/npm', NPM)
  write(folder, 'bin/tsc', TSC)
  chmodSync(join(folder, 'bin/npm'), 0o755)
  return clone
}

const NPM = `#!/bin/sh
[ "$1 $2" = "ci --include=dev" ] || exit 9
rm -rf node_modules; sleep 0.3; mkdir -p node_modules/typescript/bin
cp package-lock.json node_modules/.package-lock.json; cp ../bin/tsc node_modules/typescript/bin/tsc`

const TSC = `
const fs = require('fs')
for (const name of ['main', 'core/old']) {
  if (!fs.existsSync('src/' + name + '.ts')) continue
  fs.mkdirSync('dist/core', { recursive: true })
  fs.copyFileSync('src/' + name + '.ts', 'dist/' + name + '.js')
  if (fs.readFileSync('src/' + name + '.ts', 'utf8') !== 'type error') continue
  console.log(name + '.ts: wrong')
  process.exitCode = 2
}`

const BUNDLE = `import { mkdirSync, writeFileSync } from 'node:fs'
mkdirSync('dist/program', { recursive: true })
writeFileSync('dist/program/part.js', '')`

function lockFile(packages: Record<string, string>, optional: Record<string, string> = {}): string {
  const entries = Object.entries(packages).map(([name, version]) => [`node_modules/${name}`, { version }])
  const others = Object.entries(optional).map(([name, version]) => [
    `node_modules/${name}`,
    { version, optional: true },
  ])
  return JSON.stringify({ packages: Object.fromEntries([['', {}], ...entries, ...others]) as unknown })
}

function write(folder: string, path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

function setUp(clone: string, ...options: string[]) {
  const done = spawnSync(process.execPath, ['scripts/setup.mjs', ...options], { ...place(clone), encoding: 'utf8' })
  return { ...lines(done.stdout + done.stderr), status: done.status }
}

async function setUpMeanwhile(clone: string) {
  const child = spawn(process.execPath, ['scripts/setup.mjs'], {
    ...place(clone),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const [status] = (await once(child, 'close')) as [number]
  return { ...lines(text), status }
}

/** `npm_execpath` would be asked first. */
function place(clone: string) {
  const PATH = `${join(clone, '../bin')}${delimiter}${process.env['PATH'] ?? ''}`
  return { cwd: clone, env: { ...process.env, PATH, npm_execpath: undefined } }
}

/** What it says in any case, and how far it was, which it says on a slow machine. */
function lines(text: string): { said: string[]; progress: string[] } {
  const all = text.split('\n').filter((line) => line !== '')
  const progress = all.filter((line) => /^setup: \d+ of \d+ (packages|builds) after/.test(line))
  const said = all.filter((line) => !progress.includes(line))
  return { said: said.map((line) => line.replace(/^(setup: ready) after \d+ s$/, '$1')), progress }
}
