/** What a server may send: more than this is no answer to anything that we ask, and would only eat memory. */
import type { Socket } from 'node:net'
import type pg from 'pg'
import { bounded } from '../../../../core/foreign.ts'

/** Of one answer. The largest that there are list the columns of ten thousand tables. */
const ANSWER_BYTES = 128 * 1024 * 1024
const ANSWER_ROWS = 1_000_000
/** Until it has let us in. */
const LOGIN_BYTES = 1024 * 1024

/** Counts what comes in, and ends the connection where it is too much. */
export class Bounds {
  #bytes = 0
  #rows = 0
  #limit = LOGIN_BYTES

  /** Call it before connecting. `tls`: what comes before it is encrypted does not count. */
  constructor(client: pg.Client, tls: boolean, end: (error: Error) => void) {
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter & { stream: Socket } }
    const over = (): void => end(new Error('the answer of the server is too large'))
    connection.once(tls ? 'sslconnect' : 'connect', () => {
      connection.stream.on('data', (chunk: Buffer) => {
        this.#bytes += chunk.length
        if (this.#bytes > this.#limit) over()
      })
    })
    connection.on('dataRow', () => {
      if (++this.#rows > ANSWER_ROWS) over()
    })
  }

  /** Another answer begins. */
  begin(): void {
    this.#bytes = 0
    this.#rows = 0
    this.#limit = ANSWER_BYTES
  }
}

/** Fields of the server's errors and of the driver's. */
const FIELDS = ['message', 'detail', 'hint', 'where', 'internalQuery', 'file', 'routine', 'schema', 'table', 'column', 'constraint', 'stack'] // prettier-ignore

/** The same error, its texts cut: they are searched and shown in many places. */
export function cut(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const fields = error as unknown as Record<string, unknown>
  for (const name of FIELDS) {
    const text = fields[name]
    if (typeof text === 'string') fields[name] = bounded(text)
  }
  return error
}
