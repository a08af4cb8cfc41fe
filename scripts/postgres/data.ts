/** Fills the data folder of a private PostgreSQL server: initdb takes seconds, a copy of what it once made a tenth of one. */
import { appendFile, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, madeOnce, runAs, type ServerUser } from './cache.ts'

/** Which PostgreSQL to start. */
export interface Installation {
  /** Folder of `initdb` and `postgres`; the server's user can read it. */
  bin: string
  /** Binaries with the same id share an initialised data folder. */
  id: string
  /** What `initdb` is told about the locale. */
  initdbArgs: readonly string[]
}

/** Makes the folder `to`, a fresh cluster with these lines at the end of its postgresql.conf. */
export async function fillDataFolder(
  installation: Installation,
  to: string,
  user: ServerUser,
  settings: Record<string, string>,
): Promise<void> {
  const template = await dataTemplate(installation, user)
  await mkdir(to, { mode: 0o700 })
  await giveTo(user, to)
  const sharing = process.platform === 'linux' ? ['--reflink=auto'] : []
  await runAs(user, 'cp', ['-pR', ...sharing, `${template}/.`, to])
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  await appendFile(join(to, 'postgresql.conf'), `\n${lines.join('')}`)
}

/** Makes the server's user the owner of a folder of ours. */
export async function giveTo(user: ServerUser, folder: string): Promise<void> {
  if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid)
}

function dataTemplate({ bin, id, initdbArgs }: Installation, user: ServerUser): Promise<string> {
  const path = join(cacheFolder(), `${id}-data-${user.uid ?? process.geteuid?.() ?? 0}`)
  return madeOnce(path, async (temporary) => {
    await giveTo(user, temporary)
    const fixed = ['-D', temporary, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync', '--no-instructions']
    await runAs(user, join(bin, 'initdb'), [...fixed, ...initdbArgs])
  })
}
