/** Addresses of instances, as a configuration writes them: sockets, folders of sockets, and URLs. */
import { basename, dirname, join } from 'node:path'
import { addressesIn } from './config.ts'
import type { ApplicationConfig } from './config.ts'

/** Whether an instance at that address is one of the configuration's. */
export function leadsTo(config: ApplicationConfig, address: string): boolean {
  return addressesIn(config).some((one) => {
    if ('url' in one) return written(one.url) === address
    if (!one.socket.includes('*')) return one.socket === address
    // As it is written there: a name from elsewhere could lead out of the folder.
    return join(dirname(one.socket), basename(address)) === address && fits(basename(address), partsOf(one.socket))
  })
}

/** As an address is told and remembered. */
export function written(url: string): string {
  return url.replace(/\/$/, '')
}

/** What a socket's last part has between its stars. */
export function partsOf(path: string): string[] {
  return basename(path).split('*')
}

/** Whether the name has these parts in this order, the first at its beginning and the last at its end. In one pass: no expression. */
export function fits(name: string, parts: readonly string[]): boolean {
  const [first = '', ...rest] = parts
  const last = rest.pop() ?? ''
  if (!name.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}
