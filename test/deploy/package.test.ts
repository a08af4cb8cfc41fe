/** F19: what npm would ship runs nothing when it is installed, and everything in it has a licence that is known. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Manifest {
  scripts: Record<string, string>
  dependencies: Record<string, string>
}
interface Locked {
  dev?: boolean
  devOptional?: boolean
  hasInstallScript?: boolean
  integrity?: string
}

test('the package and whatever it depends on run no script when they are installed', () => {
  const { scripts, dependencies } = JSON.parse(read('package.json')) as Manifest
  const run = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare']
  assert.deepEqual(
    Object.keys(scripts).filter((name) => run.includes(name)),
    [],
  )
  for (const version of Object.values(dependencies))
    assert.match(version, /^\d+\.\d+\.\d+$/, 'a version that is pinned')
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> }
  const shipped = Object.entries(packages).filter(([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional)
  assert.ok(shipped.length > 10)
  assert.deepEqual(
    shipped.filter(([, { hasInstallScript, integrity }]) => hasInstallScript || integrity === undefined),
    [],
  )
})

test('npm run licences knows every licence of what is shipped', () => {
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'scripts/licences.mjs')], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
  assert.match(stdout, /^pg +\d\S+ +MIT$/m)
  assert.match(stdout, /\d+ packages, all licences known, no install script/)
})

test('the licence of every package whose code is in the bundle is shipped beside it', () => {
  const texts = read('dist/THIRD-PARTY.txt').split(`\n${'-'.repeat(80)}\n`)
  const maps = readdirSync(join(root, 'dist/program')).filter((name) => name.endsWith('.map'))
  const sources = [...maps.map((name) => `dist/program/${name}`), 'dist/main.js.map'].flatMap(
    (path) => (JSON.parse(read(path)) as { sources: string[] }).sources,
  )
  const packages = new Set(sources.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []))
  assert.ok(['commander', 'pg', 'pg-types', 'yaml', 'zod'].every((name) => packages.has(name)))
  for (const name of packages) {
    const text = texts.find((one) => one.includes(`\n${name} `)) ?? ''
    assert.match(text, /\([\w.-]+\)\n[^]*copyright/i, name)
  }
})

test('every test that docs/security.md names is there, and it is shipped with SECURITY.md', () => {
  const named = [...read('docs/security.md').matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path ?? '')
  assert.ok(named.length > 10)
  assert.deepEqual(
    named.filter((path) => !existsSync(join(root, path))),
    [],
  )
  const { files } = JSON.parse(read('package.json')) as { files: string[] }
  assert.ok(files.includes('SECURITY.md') && files.includes('docs'))
})

test('no document tells to install the package by its name, which is nobody’s on the registry', () => {
  const documents = [
    'README.md',
    'SECURITY.md',
    'CHANGELOG.md',
    'Dockerfile',
    ...readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ]
  const byName =
    /np[mx] (?:(?:install|i|exec|add)\b[^`\n]*?[\s]|(?:-y |--yes )?)chaos-agents(?![-\w./]*\.tgz)(?=[\s@`]|$)/m
  assert.match('npm install --global chaos-agents', byName)
  assert.match('npx chaos-agents run', byName)
  assert.deepEqual(
    documents.filter((name) => byName.test(read(name))),
    [],
  )
})
