/** TLS to a PostgreSQL server, with the meaning that libpq gives to sslmode, and its errors in words for users. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions } from 'node:tls'
import { ConfigError, messageOf } from '../../../../core/errors.ts'
import { readSmallFile } from '../../../../core/small-file.ts'
import { CleartextError } from './auth.ts'

export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

export interface Tls {
  /** `no-verify` is the driver's own word for require without any check. Absent: PGSSLMODE, else `allow`. */
  mode?: (typeof SSL_MODES)[number] | 'no-verify'
  /** The file of the authorities to trust; `system` for those of the machine. */
  rootcert?: string
  cert?: string
  key?: string
  negotiation?: string
}

/** What the driver is given: false is a connection without TLS. */
export type Ssl = false | ConnectionOptions

/** How a connection is tried, one after the other. Throws ConfigError where a file cannot be read. */
export function attempts(tls: Tls, host: string, env: NodeJS.ProcessEnv): Ssl[] {
  // There is none on a Unix socket.
  if (host.startsWith('/')) return [false]
  const asked = tls.mode ?? env['PGSSLMODE'] ?? 'allow'
  const rootcert = tls.rootcert ?? defaultRootcert(env)
  const mode = rootcert === 'system' && asked !== 'disable' ? 'verify-full' : asked
  const unchecked = (): Ssl => ({ ...clientCertificate(tls), rejectUnauthorized: false, checkServerIdentity: anyName })
  const checked = (name: boolean): Ssl => ({
    ...clientCertificate(tls),
    ...(rootcert === undefined || rootcert === 'system' ? {} : { ca: read('sslrootcert', rootcert) }),
    rejectUnauthorized: true,
    ...(name ? {} : { checkServerIdentity: anyName }),
  })
  switch (mode) {
    case 'disable':
      return [false]
    case 'prefer':
      return [unchecked(), false]
    case 'no-verify':
      return [unchecked()]
    case 'require':
      // As in libpq, whoever names an authority wants it to be asked.
      return [rootcert === undefined ? unchecked() : checked(false)]
    case 'verify-ca':
      if (rootcert !== undefined) return [checked(false)]
      throw wrong(
        'sslrootcert',
        'is missing: sslmode verify-ca needs the file of the authority that signs; or write sslmode: verify-full',
      )
    case 'verify-full':
      return [checked(true)]
    default:
      return [false, unchecked()]
  }
}

function anyName(): undefined {
  return undefined
}

/** libpq's, where it is there. */
function defaultRootcert(env: NodeJS.ProcessEnv): string | undefined {
  const file = join(env['HOME'] ?? homedir(), '.postgresql', 'root.crt')
  return existsSync(file) ? file : undefined
}

function clientCertificate({ cert, key }: Tls): ConnectionOptions {
  return {
    ...(cert === undefined ? {} : { cert: read('sslcert', cert) }),
    ...(key === undefined ? {} : { key: read('sslkey', key) }),
  }
}

function read(name: string, file: string): string {
  try {
    return readSmallFile(file)
  } catch (error) {
    throw wrong(name, `cannot be read: ${messageOf(error)}`)
  }
}

function wrong(path: string, message: string): ConfigError {
  return new ConfigError([{ file: 'target_config', line: 0, column: 0, path, message }], 'CONFIG_NOT_ON_TARGET')
}

/** True when another way of `attempts` may do better. */
export function mayRetry(error: unknown): boolean {
  return (
    isTlsError(error) ||
    error instanceof CleartextError ||
    codeOf(error) === '28000' ||
    /terminated unexpectedly|ECONNRESET/.test(messageOf(error))
  )
}

/** What to say of an error of TLS; undefined for any other. */
export function tlsAdvice(error: unknown): string | undefined {
  const code = codeOf(error)
  if (NO_TLS.test(messageOf(error)))
    return 'the server does not offer TLS, and sslmode asks for it: write sslmode: prefer or disable, or turn on ssl on the server'
  if (/SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET)|CERT_UNTRUSTED/.test(code))
    return `the server's certificate is signed by nobody who is trusted here (${code}): name the file of its authority under sslrootcert, or write sslmode: require, which encrypts and does not check`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the server's certificate is for another name than the host's (${code}): write the host as the certificate has it, or sslmode: verify-ca with sslrootcert, which does not check the name`
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return `the server's certificate is not valid today (${code}): renew it, or write sslmode: require, which does not check`
  if (/PEM|ERR_OSSL/.test(code)) return `a file of sslrootcert, sslcert or sslkey holds no certificate or key (${code})`
  return undefined
}

const NO_TLS = /does not support SSL/i

function isTlsError(error: unknown): boolean {
  return (
    NO_TLS.test(messageOf(error)) ||
    /^(?:ERR_TLS|ERR_SSL|EPROTO|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(codeOf(error))
  )
}

export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
}
