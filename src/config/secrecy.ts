/** What of a configuration may be shown in a message. When in doubt: nothing. */

const SECRET_KEY = /pass|secret|token|credential|api_?key|routing_?key|headers/i
const URL_KEY = /url|uri|dsn|conn|webhook/i
const SECRET_VARIABLE = /pass|pwd|secret|token|credential|key|auth|private/i
const SECRET_TEXT = /:\/\/|.@.|(?:pass\w{0,40}|secret|token)\s{0,20}[=:]/i

/** True for values that could hold a password, going by the name of their key or by their look. */
export function mayBeSecret(value: string | number | boolean, path: readonly (string | number)[]): boolean {
  const keys = path.map(String)
  if (keys.some((key) => SECRET_KEY.test(key))) return true
  return typeof value === 'string' && (SECRET_TEXT.test(value) || keys.some((key) => URL_KEY.test(key)))
}

/** True where a key holds a secret, going by its name. */
export function holdsSecret(path: readonly (string | number)[]): boolean {
  return SECRET_KEY.test(String(path.at(-1)))
}

/** True for a filled-in value of which no part may be shown: from a file, from a variable or at a place for secrets. */
export function isSecret(value: string, expression: string, path: readonly (string | number)[]): boolean {
  if (/^\$\{file:/.test(expression) || SECRET_VARIABLE.test(expression)) return true
  return path.some((key) => SECRET_KEY.test(String(key))) || SECRET_TEXT.test(value)
}

/** A key in quotes; a value that slid into the place of a key is not shown. */
export function showKey(key: string): string {
  if (SECRET_TEXT.test(key)) return '"…"'
  return JSON.stringify(key.length > 60 ? `${key.slice(0, 60)}…` : key)
}

/** Takes filled-in values, and what is secret in the value it is about, out of a message that others wrote. */
export function scrubber(filled: readonly string[]): (message: string, about: unknown) => string {
  const long = filled.filter((part) => part.length >= 4)
  const short = filled.filter((part) => part.length < 4)
  return (message, about) => {
    const text = String(about)
    const credentials = credentialsIn(text)
    const without = longestFirst([...long, ...credentials.filter((part) => part.length >= 4)]).reduce(
      (now, part) => now.replaceAll(part, '…'),
      message,
    )
    // A short text is also part of ordinary words: only as a word, and where it is part of what the message is about.
    return longestFirst(
      [...short, ...credentials.filter((part) => part.length < 4)].filter((part) => text.includes(part)),
    ).reduce(withoutWord, without)
  }
}

/** The whole of a URL or connection string with credentials, `user:password`, `password`; as written and decoded. */
function credentialsIn(text: string): string[] {
  if (!SECRET_TEXT.test(text)) return []
  const user = text.slice(0, Math.max(0, text.lastIndexOf('@'))).replace(/^[^:]*:\/\//, '')
  const password = user.slice(user.indexOf(':') + 1)
  const named = [...text.matchAll(/(?:pass\w{0,40}|secret|token)\s{0,20}[=:]\s{0,20}([^\s&]+)/gi)].map(
    (match) => match[1] ?? '',
  )
  return [text, user, password, ...named].flatMap((part) => [part, decoded(part)])
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function longestFirst(texts: readonly string[]): string[] {
  return [...new Set(texts)].filter((text) => text !== '').sort((a, b) => b.length - a.length)
}

function withoutWord(text: string, word: string): string {
  const literal = word.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  return text.replaceAll(new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, 'gu'), '…')
}
