/** Where the calls to a target can be seen from outside: in its driver, or, for every target there will be, around its agent. */
import http from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'
import pg from 'pg'

/** Before a statement is sent, when it is on its way, and when its answer is there. */
export function hookPostgres(point) {
  const { query, connect } = pg.Client.prototype
  pg.Client.prototype.connect = function (...args) {
    if (args.length > 0) return connect.apply(this, args)
    point('connect: before')
    return told(connect.call(this), 'connect')
  }
  pg.Client.prototype.query = function (...args) {
    const text = typeof args[0] === 'string' ? args[0] : (args[0].text ?? args[0].cursor?.text ?? 'copy')
    const name = `query ${text.replaceAll(/\s+/g, ' ').trim().slice(0, 70)}`
    point(`${name}: before`)
    const result = query.apply(this, args)
    point(`${name}: sent`)
    return result instanceof Promise ? told(result, name) : result
  }
  function told(promise, name) {
    return promise.then(
      (result) => {
        point(`${name}: answered`)
        return result
      },
      (error) => {
        point(`${name}: refused`)
        throw error
      },
    )
  }
}

/** Before a request is made, when it is handed to the kernel (the application acts, whoever dies now), and when its answer begins. */
export function hookHttp(point) {
  const { request } = http
  http.request = (url, options = {}, ...rest) => {
    const where = options.socketPath === undefined ? new URL(url).host : basename(options.socketPath)
    const name = `${options.method ?? 'GET'} ${new URL(url).pathname} at ${where}`
    point(`${name}: before`)
    const sent = request(url, options, ...rest)
    sent.once('finish', () => point(`${name}: sent`))
    sent.once('response', () => point(`${name}: answered`))
    sent.once('error', () => point(`${name}: refused`))
    return sent
  }
  // `import { request } from 'node:http'` sees it too.
  syncBuiltinESMExports()
}

/** Before and after each call of an agent, and of what a step gets from the engine. */
export function hookAgent(target, point) {
  const around = (object, prefix) =>
    new Proxy(object, {
      get(of, key) {
        const value = of[key]
        if (typeof value !== 'function') return value
        return async (...args) => {
          const skill = typeof args[0] === 'string' && args.length > 2 ? ` ${args[0]}` : ''
          const name = `${prefix}.${String(key)}${skill}`
          point(`${name}: before`)
          const result = await value.apply(of, args.map(hookContext))
          point(`${name}: after`)
          return result
        }
      },
    })
  const hookContext = (arg) =>
    typeof arg?.record === 'function'
      ? {
          ...arg,
          async record(facts) {
            point('record: before')
            await arg.record(facts)
            point('record: after')
          },
        }
      : arg
  return { ...target, connect: async (config, options) => around(await target.connect(config, options), 'agent') }
}
