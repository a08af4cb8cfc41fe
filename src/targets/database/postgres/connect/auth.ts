/** How a server may ask who we are: a password in clear text, or its md5 hash, is not given to whoever answers at an address. */
import type { Socket } from 'node:net'
import type pg from 'pg'
import { TargetError } from '../../../../core/errors.ts'
import { isLoopback } from '../../../../core/loopback.ts'

/** libpq's words. `none`: the server asks for nothing. */
const METHODS = ['password', 'md5', 'scram-sha-256', 'none'] as const
type Method = (typeof METHODS)[number]
/** libpq's, but nothing that we could answer. */
const UNABLE = ['gss', 'sspi']

export interface AuthRules {
  /** As libpq's require_auth: methods with commas between them, each with `!` in front for those that are refused. */
  require?: string
  /** Clear text and md5 also without TLS, to a server somewhere else. */
  allowCleartext?: boolean
}

/** What is wrong with a require_auth; undefined when nothing is. */
export function problemOfAuth(text: string): string | undefined {
  const words = text.split(',').map((word) => word.trim())
  const plain = words.map((word) => word.replace(/^!/, ''))
  const known = plain.every((word) => ([...METHODS, ...UNABLE] as string[]).includes(word))
  const mixed = new Set(words.map((word) => word.startsWith('!'))).size > 1
  if (!known || new Set(plain).size < plain.length || mixed)
    return `is none: write one or more of ${METHODS.join(', ')} with commas between them, or each with ! in front for those that are refused`
  return undefined
}

function isAllowed(method: Method, { require }: AuthRules): boolean {
  if (require === undefined) return true
  const words = require.split(',').map((word) => word.trim())
  return words[0]?.startsWith('!') === true ? !words.includes(`!${method}`) : words.includes(method)
}

/** A Unix socket, or an address of this machine, which a socket of IPv6 writes in its own way. */
export function isLocal(host: string): boolean {
  return host.startsWith('/') || isLoopback(host.replace(/^::ffff:(?=127\.)/i, ''))
}

/** The parts of the driver that say what the server asks for. */
interface Inner {
  connection: NodeJS.EventEmitter & { stream: Socket & { encrypted?: boolean } }
  _getPassword(done: () => void): void
}

/**
 * Watches what the server asks for while it lets us in. What is refused is not answered: the connection fails with
 * TARGET_PRIVILEGE. Call it before connecting.
 */
export function guardAuth(client: pg.Client, rules: AuthRules): void {
  const inner = client as unknown as Inner
  const { connection } = inner
  let asked: Method = 'none'
  let finished = true
  let refused: Error | undefined
  const ask = (method: Method): void => {
    asked = method
    finished = method !== 'scram-sha-256'
    refused = refusal(method, rules, connection.stream)
  }
  connection.on('authenticationCleartextPassword', () => ask('password'))
  connection.on('authenticationMD5Password', () => ask('md5'))
  connection.on('authenticationSASL', () => ask('scram-sha-256'))
  connection.on('authenticationSASLFinal', () => (finished = true))
  connection.on('authenticationOk', () => {
    refused ??= refusal(asked, rules, connection.stream)
    if (!finished)
      refused ??= new TargetError(
        'TARGET_PRIVILEGE',
        'the server lets us in without having shown that it knows the password: it may not be the one that is meant',
      )
    if (refused) connection.stream.destroy(refused)
  })
  // The driver asks for the password whatever it is for; its own handlers come after ours.
  const password = inner._getPassword.bind(client)
  inner._getPassword = (done) => {
    if (refused) connection.emit('error', refused)
    else password(done)
  }
}

function refusal(
  method: Method,
  rules: AuthRules,
  stream: Socket & { encrypted?: boolean },
): CleartextError | undefined {
  if (!isAllowed(method, rules))
    return new CleartextError(
      method === 'none'
        ? `the server lets us in without asking who we are, which require_auth (${rules.require ?? ''}) refuses`
        : `the server asks for ${WORDS[method]}, which require_auth (${rules.require ?? ''}) refuses`,
    )
  if (method === 'none' || method === 'scram-sha-256' || rules.allowCleartext === true || stream.encrypted === true)
    return undefined
  // Of a socket in the file system there is no address.
  if (stream.remoteAddress === undefined || isLocal(stream.remoteAddress)) return undefined
  return new CleartextError(
    `the server asks for ${WORDS[method]} without TLS, where anybody on the way can read it: let it use scram-sha-256, write sslmode: verify-full, or, if the network can be trusted, allow_cleartext: true`,
  )
}

const WORDS: Record<Method, string> = {
  password: 'the password in clear text',
  md5: 'an md5 hash of the password',
  'scram-sha-256': 'scram-sha-256',
  none: 'nothing',
}

/** The server asks for more than it may have; with TLS it may. */
export class CleartextError extends TargetError {
  constructor(message: string) {
    super('TARGET_PRIVILEGE', `the password was not sent: ${message}`)
  }
}
