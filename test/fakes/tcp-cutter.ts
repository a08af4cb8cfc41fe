/** A TCP proxy that cuts its connections after a given number of bytes in one direction, once; then it lets everything pass. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export type Direction = 'request' | 'reply'

export interface TcpCutter {
  readonly port: number
  /** Passed since the last arm(), over all connections. */
  readonly passed: Readonly<Record<Direction, number>>
  /** True once the cut has come. */
  readonly cut: boolean
  /** Counts anew; byte `at` of that direction still passes, the next does not: every open connection is reset instead. */
  arm(direction?: Direction, at?: number): void
  close(): void
}

export async function tcpCutter(port: number, address = '127.0.0.1'): Promise<TcpCutter> {
  const open = new Set<Socket>()
  const passed = { request: 0, reply: 0 }
  let armed: { direction: Direction; at: number } | undefined
  let cut = false
  const pass = (direction: Direction, from: Socket, to: Socket): void => {
    from.on('data', (bytes: Buffer) => {
      const rest = armed?.direction === direction ? armed.at - passed[direction] : Infinity
      passed[direction] += Math.min(bytes.length, rest)
      if (bytes.length <= rest) return void to.write(bytes)
      ;[armed, cut] = [undefined, true]
      // What may still pass is delivered before the end, which no side has asked for.
      to.end(bytes.subarray(0, rest), () => open.forEach((socket) => socket.destroy()))
    })
  }
  const server = createServer((outer) => {
    const inner = connect(port, address)
    for (const socket of [outer, inner]) {
      open.add(socket.setNoDelay(true))
      socket.on('error', () => undefined).on('close', () => [outer, inner].forEach((s) => open.delete(s.destroy())))
    }
    pass('request', outer, inner)
    pass('reply', inner, outer)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    passed,
    get cut() {
      return cut
    },
    arm(direction, at = 0) {
      armed = direction && { direction, at }
      ;[cut, passed.request, passed.reply] = [false, 0, 0]
    },
    close() {
      server.close()
      open.forEach((socket) => socket.destroy())
    },
  }
}
