/** One stream that is written to: says when it has room again, and when nobody reads it any more. */
import type { Writable } from 'node:stream'

export class Outlet {
  /** Resolves when the stream is gone; what is written then is lost. */
  readonly gone: Promise<void>
  readonly #stream: Writable
  readonly #ahead: number
  #open = true
  #room: Promise<void> | undefined
  #wake = (): void => undefined

  /** So many bytes may wait here, beyond what the stream itself takes, before there is no room. */
  constructor(stream: Writable, ahead = 0) {
    ;[this.#stream, this.#ahead] = [stream, ahead]
    this.gone = new Promise((resolve) => {
      const close = () => {
        this.#open = false
        this.#wake()
        resolve()
      }
      // EPIPE: the other side has died.
      stream.on('error', close)
      stream.on('close', close)
    })
    stream.on('drain', () => this.#wake())
  }

  /** Resolves when there is room for more. */
  write(bytes: Buffer): Promise<void> {
    if (this.#open && !this.#stream.write(bytes) && this.#stream.writableLength > this.#ahead)
      this.#room ??= this.#drained()
    return this.room()
  }

  /** Somebody reads too slowly, or not at all. */
  get full(): boolean {
    return this.#room !== undefined
  }

  room(): Promise<void> {
    return this.#room ?? Promise.resolve()
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#room = undefined
        resolve()
      }
    })
  }
}
