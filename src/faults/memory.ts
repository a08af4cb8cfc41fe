/** Memory that is really held: its pages are touched, a slice at a time so that the event loop goes on. */
import { unheld } from './waits.ts'

const SLICE_BYTES = 2 ** 20
const PAGE_BYTES = 4096

export class HeldMemory {
  /** What all holders together may hold. */
  readonly most: number
  #held = 0

  constructor(most = 256 * 2 ** 20) {
    this.most = most
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.#held
  }

  /** Begins to hold up to `bytes`, less where the bound is reached; gives what ends it. */
  hold(bytes: number): () => void {
    const slices: Uint8Array[] = []
    let left = bytes
    const grow = () => {
      const size = Math.min(SLICE_BYTES, left, this.most - this.#held)
      if (size <= 0) return
      const slice = new Uint8Array(size)
      for (let i = 0; i < size; i += PAGE_BYTES) slice[i] = 1
      slices.push(slice)
      this.#held += size
      left -= size
      timer = unheld(setTimeout(grow, 0))
    }
    let timer: NodeJS.Timeout | undefined
    grow()
    return () => {
      clearTimeout(timer)
      left = 0
      for (const slice of slices.splice(0)) this.#held -= slice.length
    }
  }
}
