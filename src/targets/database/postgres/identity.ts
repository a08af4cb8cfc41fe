/** Who a server is: what its claims begin with, and what tells it from another one at the same address. */
import { TargetError } from '../../../core/errors.ts'
import type { Identity } from '../../../core/identity.ts'
import type { Queries } from '../client.ts'
import { bracketed, placeOf } from '../config.ts'
import type { DatabaseConfig } from '../config.ts'

export async function readIdentity(on: Queries, config: DatabaseConfig): Promise<Identity> {
  const [row] = await on.query(
    `select current_database()::text as database, d.oid::text, host(inet_server_addr()) as address,
            inet_server_port()::text as port, current_setting('port') as listen_port
       from pg_database d where d.datname = current_database()`,
  )
  const systemId = await on.query('select system_identifier::text as id from pg_control_system()').then(
    (rows) => rows[0]?.['id'] ?? null,
    () => null, // a managed service may not let us read it
  )
  if (!row) throw new TargetError('TARGET_FAILED', 'the database does not say which one it is')
  const address = row['address'] ?? null
  const port = row['port'] ?? row['listen_port'] ?? null
  const { host, port: asked } = placeOf(config)
  const name = host.startsWith('/') ? 'local' : bracketed(host)
  const server = systemId === null ? `${name}:${asked}` : `${systemId}:${port ?? ''}`
  return {
    scopes: {
      server: `postgres/${server}`,
      database: `postgres/${server}/${row['oid'] ?? ''}`,
      resource: `postgres/${server}/${row['oid'] ?? ''}`,
    },
    parts: {
      system_identifier: systemId,
      database: `${row['database'] ?? ''}/${row['oid'] ?? ''}`,
      // One server has an address per family, and `localhost` may be either: they are parts of their own.
      address_ipv4: address !== null && !address.includes(':') ? address : null,
      address_ipv6: address?.includes(':') ? address : null,
      port,
    },
  }
}
