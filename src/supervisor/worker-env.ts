/**
 * What a worker gets of our environment: where programs and certificates are, language and time zone, and how its runtime
 * is set. The rest may be secrets of the configuration, whose values come with the job where it needs them.
 */
const NAMES =
  /^(?:PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LANGUAGE|SSL_CERT_FILE|SSL_CERT_DIR|OPENSSL_CONF|XDG_RUNTIME_DIR)$/
const BEGINNINGS = /^(?:LC_|LD_|NODE_|UV_|PG)/

export function workerEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => NAMES.test(name) || BEGINNINGS.test(name)))
}
