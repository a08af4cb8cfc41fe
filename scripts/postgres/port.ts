/** Finds a port for a server of our own. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** What `localhost` may mean. A server that has a port on only one of them is refused by some clients of `localhost`. */
export const LOOPBACK = ['127.0.0.1', '::1'] as const

/**
 * A port that is free on both. Below the ranges from which systems (32768 or 49152 up) take the ports of outgoing
 * connections: such a connection would take it while a server restarts.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < 200; i++) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    if ((await Promise.all(LOOPBACK.map((host) => isFree(port, host)))).every(Boolean)) return port
  }
  throw new Error('no free port between 20000 and 29999')
}

async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer().listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    // A machine without IPv6.
    return ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes((error as NodeJS.ErrnoException).code ?? '')
  }
  server.close()
  await once(server, 'close')
  return true
}
