/** D10, D11, D12, S8: whoever can connect with psql can connect with the same words here. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { messageOf } from '../../src/core/errors.ts'
import { database } from '../../src/targets/database/index.ts'
import { placeOf } from '../../src/targets/database/config.ts'
import { PostgresClient } from '../../src/targets/database/postgres/client.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

const RAW = 'p@ss/w?rd#%:[ x'

describe('connecting', { timeout: 10 * 60_000 }, () => {
  let dir: string
  let tls: Postgres
  let plain: Postgres

  before(async () => {
    // Short: the path of a socket has at most 107 characters.
    dir = mkdtempSync(join(tmpdir(), 'chaos-pg-'))
    chmodSync(dir, 0o777)
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=db.test'].concat([
        ...['-addext', 'subjectAltName=DNS:db.test', '-keyout', join(dir, 'key'), '-out', join(dir, 'cert')],
      ]),
      { stdio: 'ignore' },
    )
    plain = await startPostgres({ settings: { unix_socket_directories: dir } })
    tls = await startPostgres()
    for (const name of ['key', 'cert']) chmodSync(join(dir, name), 0o644)
    // Written by the server itself, as its own user and with the mode that it wants of a key.
    await tls.sql(
      `copy (select line from regexp_split_to_table(pg_read_file('${join(dir, 'key')}'), E'\\n') line where line <> '') to program 'umask 077; cat > server.key'`,
    )
    await tls.sql(
      `copy (select line from regexp_split_to_table(pg_read_file('${join(dir, 'cert')}'), E'\\n') line where line <> '') to program 'cat > server.crt'`,
    )
    await tls.sql('alter system set ssl = on')
    await tls.sql('select pg_reload_conf()')
    await plain.sql(`create role raw login password '${RAW}'`)
  })
  after(async () => {
    await tls.stop()
    await plain.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  /** Whether the session is encrypted, or what was said instead. */
  const encrypted = async (given: Record<string, unknown>): Promise<string> => {
    const parsed = database.config.safeParse(given)
    if (!parsed.success) return parsed.error.issues.map((issue) => issue.message).join('; ')
    let client: PostgresClient | undefined
    try {
      const connectionUrl = placeOf(parsed.data as Parameters<typeof placeOf>[0])
      client = await PostgresClient.connect({ connectionUrl, mark: 'chaos-t-t-0', signal: AbortSignal.timeout(60_000) })
      const [row] = await client.query('select ssl::text from pg_stat_ssl where pid = pg_backend_pid()')
      return row?.['ssl'] === 'true' ? 'encrypted' : 'plain'
    } catch (error) {
      return messageOf(error)
    } finally {
      await client?.close()
    }
  }
  const to = (server: Postgres, query: string): Promise<string> =>
    encrypted({ connection_url: `${server.url()}${query}` })

  test('D10: sslmode means what it means to psql, with a certificate that nobody has signed', async () => {
    for (const [query, expected] of Object.entries({
      '': /^plain$/,
      '?sslmode=disable': /^plain$/,
      '?sslmode=allow': /^plain$/,
      '?sslmode=prefer': /^encrypted$/,
      '?sslmode=require': /^encrypted$/,
      '?sslmode=no-verify': /^encrypted$/,
      [`?sslmode=require&sslrootcert=${join(dir, 'cert')}`]: /^encrypted$/,
      [`?sslmode=verify-ca&sslrootcert=${join(dir, 'cert')}`]: /^encrypted$/,
      [`?sslmode=verify-full&sslrootcert=${join(dir, 'cert')}`]: /for another name than the host's/,
      '?sslmode=verify-full': /signed by nobody who is trusted here/,
      '?sslmode=verify-ca': /sslrootcert: is missing/,
      '?sslmode=require&sslrootcert=system': /signed by nobody who is trusted here/,
      '?sslmode=require&sslrootcert=/not/there': /sslrootcert: cannot be read/,
      '?sslmode=sometimes': /write one of disable, allow, prefer/,
    })) {
      const said = await to(tls, query)
      assert.match(said, expected, query)
      assert.doesNotMatch(said, /libpq|uselibpqcompat|rejectUnauthorized/, query)
    }
  })

  test('D10: prefer and allow do without TLS where the server has none; require says that it has none', async () => {
    for (const mode of ['disable', 'allow', 'prefer']) assert.equal(await to(plain, `?sslmode=${mode}`), 'plain', mode)
    assert.match(await to(plain, '?sslmode=require'), /does not offer TLS, and sslmode asks for it/)
  })

  test('D10: a server that lets nobody in without TLS is reached without a word of it in the configuration', async () => {
    await tls.sql(`copy (select 'hostssl all all 127.0.0.1/32 trust') to program 'cat > pg_hba.conf'`)
    await tls.sql('select pg_reload_conf()')
    for (const query of ['', '?sslmode=prefer']) assert.equal(await to(tls, query), 'encrypted', query)
    assert.match(await to(tls, '?sslmode=disable'), /no encryption/)
  })

  test('D12: a Unix socket is reached by its folder, however that is written, and shown with its port', async () => {
    const { port } = plain
    const encodedDir = encodeURIComponent(dir)
    for (const url of [
      `postgresql://postgres@/postgres?host=${dir}&port=${port}`,
      `postgres:///postgres?host=${encodedDir}&port=${port}&user=postgres`,
      `postgres://postgres@${encodedDir}:${port}/postgres`,
      `postgres://postgres@ignored:1/postgres?host=${dir}&port=${port}&sslmode=require`,
    ]) {
      assert.equal(await encrypted({ connection_url: url }), 'plain', url)
      const { key, names } = database.endpoint(database.config.parse({ connection_url: url }))
      assert.equal(key, `postgres:///postgres?host=${dir}&port=${port}`)
      assert.deepEqual(names, [dir, 'postgres'])
    }
    assert.equal(await encrypted({ host: dir, port, user: 'postgres', database: 'postgres' }), 'plain')
    assert.match(
      await encrypted({ connection_url: `postgres://postgres@/postgres?host=${dir}&port=1` }),
      /no server listens on a socket in/,
    )
  })

  test('D12: several hosts are refused with a reason', async () => {
    for (const url of ['postgres://u@a,b/db', 'postgres://u@a:1,b:2/db', 'postgres://u@/db?host=a,b'])
      assert.match(await encrypted({ connection_url: url }), /names several hosts/)
  })

  test('D11: a password that is not encoded is said to need it, and no piece of it is shown', async () => {
    for (const password of [
      'p@ss/w?rd',
      'zw/eins',
      'zw?eins',
      'zw#eins',
      'zw@eins',
      'zw%eins',
      'zw eins',
      'zw[eins',
      'zw%',
      '#zw',
    ]) {
      const said = await encrypted({ connection_url: `postgres://u:${password}@nowhere.invalid/db` })
      assert.match(said, /must be encoded.*password:/, password)
      assert.doesNotMatch(said, /zw|eins|w\?rd|nowhere/, password)
    }
    assert.equal(placeOf({ connection_url: 'postgres://u:a:b@h/db' }).password, 'a:b')
  })

  test('S8: host, port, user, password and database stand as they are beside the URL or instead of it', async () => {
    const raw = { user: 'raw', password: RAW }
    assert.equal(await encrypted({ ...raw, host: '127.0.0.1', port: plain.port, database: 'postgres' }), 'plain')
    assert.equal(await encrypted({ ...raw, connection_url: plain.url().replace('postgres@', '') }), 'plain')
    const placed = placeOf(database.config.parse({ ...raw, connection_url: 'postgres://h/d' }) as object)
    assert.deepEqual([placed.user, placed.password], ['raw', RAW])
    assert.deepEqual(database.secrets(database.config.parse({ ...raw, connection_url: 'postgres://h/d' })), [RAW])
    assert.ok(!JSON.stringify(database.redact(database.config.parse({ ...raw, host: 'h' }))).includes('p@ss'))
  })

  test('S8: what the URL says otherwise, and an empty password, is an error', () => {
    const said = (given: object): string =>
      messageOf(
        database.config
          .safeParse(given)
          .error?.issues.map((i) => `${i.path.join('.')} ${i.message}`)
          .join(),
      )
    assert.match(said({ connection_url: 'postgres://u:x@h/d', password: 'y' }), /^password is in connection_url too/)
    assert.match(said({ connection_url: 'postgres://u@h/d', port: 1, host: 'i' }), /^host is in connection_url too/)
    assert.match(said({ connection_url: 'postgres://u@h/d', password: '' }), /^password is empty/)
    assert.match(said({ host: 'h' }), /^database is missing/)
    assert.match(said({}), /^connection_url is missing/)
  })
})
