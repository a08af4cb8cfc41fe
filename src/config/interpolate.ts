/**
 * Fills `${VAR}`, `${VAR:-default}` and `${file:path}` into one scalar of a configuration; `$${` stands for `${`. The path
 * of a file may begin with `~/` or with a variable, which has no braces there: `${file:$CREDENTIALS_DIRECTORY/password}`.
 */
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { messageOf } from '../core/errors.ts'

export interface Scope {
  env: NodeJS.ProcessEnv
  /** What `${file:…}` is relative to: the folder of the configuration. */
  folder: string
}

export interface Interpolated {
  text: string
  /** The expressions as written but without defaults, e.g. `${DB_URL}`: what may be shown instead of the value. */
  expressions: string[]
  /** What was filled in, and by which expression. May be secret: never show it. */
  filled: { value: string; expression: string }[]
  /** What is wrong, one text each. */
  problems: string[]
}

/** Larger than any secret; a mistaken path must not pull a log file into a connection URL. */
const LARGEST_FILE_BYTES = 64 * 2 ** 10

const EXPRESSION = /\$\$\{|\$\{([^}]*)(\}?)/g

export function interpolate(text: string, scope: Scope): Interpolated {
  const result: Interpolated = { text: '', expressions: [], filled: [], problems: [] }
  result.text = text.replaceAll(EXPRESSION, (whole: string, inner: string | undefined, end: string, at: number) => {
    if (inner === undefined) return '${'
    const found =
      end === ''
        ? { problem: '"${" without its "}"; to write the two characters themselves, write "$${"' }
        : fill(inner, scope)
    result.expressions.push(shown(inner))
    if ('problem' in found) {
      result.problems.push(found.problem)
      return whole
    }
    result.filled.push({ value: found.value, expression: shown(inner) })
    const place = inUserinfo(text.slice(0, at), text.slice(at + whole.length))
    if (place === undefined) return found.value
    if (found.value === '' && place !== 'user') result.problems.push(`${shown(inner)} is empty, and a password is not`)
    // `user:password` in one value keeps the colon between them.
    const cut = place === 'both' ? found.value.indexOf(':') : -1
    if (cut < 0) return encodeURIComponent(found.value)
    return `${encodeURIComponent(found.value.slice(0, cut))}:${encodeURIComponent(found.value.slice(cut + 1))}`
  })
  return result
}

/** What of the credentials in a URL stands between these two texts. What is filled in there is raw, and gets encoded. */
function inUserinfo(before: string, after: string): 'user' | 'password' | 'both' | undefined {
  const [start, rest] = [before, after].map((text) => text.replaceAll(EXPRESSION, 'x'))
  const [, user] = /^[a-z][a-z\d+.-]*:\/\/([^/?#@]*)$/i.exec(start ?? '') ?? []
  if (user === undefined || !/^[^/?#@]*@/.test(rest ?? '')) return undefined
  if (user.includes(':')) return 'password'
  return user === '' && rest?.startsWith('@') === true ? 'both' : 'user'
}

/** True when the text holds something that `interpolate` would change. */
export function isInterpolated(text: string): boolean {
  return text.includes('${')
}

type Filled = { value: string } | { problem: string }

function fill(inner: string, scope: Scope): Filled {
  if (inner.startsWith('file:')) return readValue(inner.slice('file:'.length), scope)
  const [, name, fallback] = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(inner) ?? []
  if (name === undefined) {
    return {
      problem: `${shown(inner)} is not one of \${VAR}, \${VAR:-default}, \${file:path}; to write the characters themselves, write "$\${"`,
    }
  }
  if (fallback?.includes('${')) return { problem: `the default of ${shown(inner)} may not hold another "\${"` }
  const value = scope.env[name]
  if (fallback !== undefined) return { value: value === undefined || value === '' ? fallback : value }
  if (value !== undefined) return { value }
  return { problem: `the environment variable ${name} is not set: set it, or write \${${name}:-default}` }
}

function readValue(path: string, { env, folder }: Scope): Filled {
  const expression = shown(`file:${path}`)
  const [start = '', name] = /^\$([A-Za-z_]\w*)(?=\/)|^~(?=\/|$)/.exec(path) ?? []
  const base = name !== undefined ? env[name] : start === '~' ? (env['HOME'] ?? homedir()) : ''
  if (base === undefined) return { problem: `${expression}: the environment variable ${name} is not set` }
  const file = resolve(folder, base + path.slice(start.length))
  if (path === '') return { problem: `${expression} names no file: write \${file:path}` }
  try {
    const info = statSync(file)
    if (!info.isFile()) return { problem: `${expression}: ${file} is not a file` }
    if (info.size > LARGEST_FILE_BYTES) {
      return { problem: `${expression}: ${file} is larger than ${LARGEST_FILE_BYTES / 2 ** 10} KiB` }
    }
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
    const value = text.replace(/\r?\n$/, '')
    return value === '' ? { problem: `${expression}: ${file} is empty` } : { value }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT') return { problem: `${expression}: there is no file ${file}` }
    if (code === 'EACCES') return { problem: `${expression}: ${file} may not be read by this user` }
    return { problem: `${expression}: ${file} cannot be read as text: ${messageOf(error)}` }
  }
}

/** A default may be a password: only the name is shown. */
function shown(inner: string): string {
  const name = inner.startsWith('file:') ? inner : (/^[A-Za-z_]\w*/.exec(inner)?.[0] ?? '…')
  return `\${${name}}`
}
