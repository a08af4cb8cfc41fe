/** A TCP forwarder, for servers on loopback that hosts of a lab must reach. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export interface Forward {
  readonly port: number
  close(): void
}

/** From a free port of `address` to `port` of this machine's loopback. */
export async function forward(address: string, port: number): Promise<Forward> {
  const open = new Set<Socket>()
  const server = createServer((outer) => {
    const inner = connect(port, '127.0.0.1')
    for (const [socket, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      open.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  server.listen(0, address)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}
