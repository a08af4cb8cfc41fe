/** A process as the model sees it: it can die at any moment, and whatever it waited for, it never goes on then. */
import type { Disk } from '../../src/journal/disk.ts'
import { watched } from '../fakes/disk.ts'

export class Life {
  #over = false
  #atEnd: (() => void)[] = []

  get over(): boolean {
    return this.#over
  }

  end(): void {
    if (this.#over) return
    this.#over = true
    for (const tell of this.#atEnd.splice(0)) tell()
  }

  onEnd(tell: () => void): void {
    this.#atEnd.push(tell)
  }

  /** Never resolves for the dead. */
  async goOn(): Promise<void> {
    if (this.#over) await new Promise(() => undefined)
  }

  /** What it asks of the outside: not asked by the dead, and not answered to them. */
  async of<T>(work: () => Promise<T>): Promise<T> {
    await this.goOn()
    try {
      return await work()
    } finally {
      await this.goOn()
    }
  }
}

/** The disk as that process sees it; `tick` is called ahead of every operation and may end the process. */
export function diskOf(life: Life, disk: Disk, tick: () => void): Disk {
  return watched(disk, async (op) => {
    await life.goOn()
    if (op !== 'size' && op !== 'close' && op !== 'mkdir') tick()
    await life.goOn()
  })
}
