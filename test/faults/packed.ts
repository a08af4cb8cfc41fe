/** A consumer of the packed package: a folder whose node_modules hold what `npm pack` puts into the tarball. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Consumer {
  folder: string
  /** Writes files by their path below the folder. */
  write(files: Record<string, string>): void
  /** Runs node there; fails with what it wrote unless it ends with 0. */
  node(...args: string[]): string
  /** The compiler's findings, '' for none. */
  tsc(compilerOptions: Record<string, unknown>, files: string[]): string
  remove(): void
}

export function packedConsumer(): Consumer {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-consumer-'))
  const modules = join(folder, 'node_modules')
  const installed = join(modules, 'chaos-agents')
  mkdirSync(installed, { recursive: true })
  run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], root)
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  assert.ok(tarball !== undefined)
  run('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', installed], folder)
  // Its own dependencies, as npm would put them beside it.
  for (const name of ['@types', 'undici-types', 'zod'])
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  return {
    folder,
    write(files) {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        writeFileSync(join(folder, path), text)
      }
    },
    node: (...args) => run(process.execPath, args, folder),
    tsc(compilerOptions, files) {
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      return spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' }).stdout
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function run(command: string, args: string[], cwd: string): string {
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', env })
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? ''}${stdout}${stderr}`)
  return stdout
}
