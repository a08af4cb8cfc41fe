/** A binary heap: whatever comes first is on top, and ten thousand timers cost no more than one. */

export class Heap<T> {
  readonly #items: T[] = []
  readonly #before: (a: T, b: T) => boolean

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get top(): T | undefined {
    return this.#items[0]
  }

  clear(): void {
    this.#items.length = 0
  }

  push(item: T): void {
    let at = this.#items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#swapped(at, parent)) break
      at = parent
    }
  }

  pop(): T | undefined {
    const top = this.#items[0]
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return top
    this.#items[0] = last
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      const child = right < this.#items.length && this.#first(right, left) ? right : left
      if (child >= this.#items.length || !this.#swapped(child, at)) return top
      at = child
    }
  }

  #first(a: number, b: number): boolean {
    return this.#before(this.#items[a] as T, this.#items[b] as T)
  }

  /** Puts the child above its parent if it comes before it. */
  #swapped(child: number, parent: number): boolean {
    if (!this.#first(child, parent)) return false
    const [a, b] = [this.#items[child] as T, this.#items[parent] as T]
    this.#items[child] = b
    this.#items[parent] = a
    return true
  }
}
