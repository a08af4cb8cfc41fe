/** The newest PostgreSQL of Debian's packages (on Debian 12: version 15), started like the one from npm. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { runAs } from '../../scripts/postgres/cache.ts'
import { launchPostgres, type Postgres, type PostgresOptions } from '../../scripts/postgres/server.ts'

const HOME = '/usr/lib/postgresql'

/** Why tests that need it cannot run here, for their `skip` option; undefined when they can. */
export function debianPostgresMissing(): string | undefined {
  return newestBin() === undefined ? `no PostgreSQL from Debian's packages (${HOME}/*/bin)` : undefined
}

/** Starts it; what `startPostgres` says holds here too. */
export async function startDebianPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const bin = newestBin()
  if (bin === undefined) throw new Error(debianPostgresMissing())
  const version = (await runAs({}, join(bin, 'postgres'), ['--version'])).match(/\d+(\.\d+)*/)?.[0] ?? 'unknown'
  return launchPostgres({ bin, id: `debian-postgres-${version}`, initdbArgs: ['--locale=C.UTF-8'] }, options)
}

function newestBin(): string | undefined {
  const versions = existsSync(HOME) ? readdirSync(HOME) : []
  return versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(HOME, version, 'bin'))
    .find((bin) => existsSync(join(bin, 'initdb')))
}
