/** Seeded randomness: the same seed gives the same plan. Not for secrets. */

export interface Random {
  /** A float in [0, 1). */
  next(): number
  /** A whole number in [0, below). */
  int(below: number): number
  /** One element; undefined of an empty list. */
  pick<T>(list: readonly T[]): T | undefined
  /** A new list in random order. */
  shuffle<T>(list: readonly T[]): T[]
  /** An independent stream, repeatable from this one's seed and the label. */
  fork(label: string | number): Random
}

/** sfc32, seeded by hashing `seed` with FNV-1a. */
export function seededRandom(seed: string | number): Random {
  let [a, b, c, counter] = [hash(`${seed}/a`), hash(`${seed}/b`), hash(`${seed}/c`), 1]
  const next32 = (): number => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + t) | 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) next32()
  const random: Random = {
    next: () => next32() / 2 ** 32,
    int: (below) => Math.floor((((next32() >>> 5) * 2 ** 26 + (next32() >>> 6)) / 2 ** 53) * below),
    pick: (list) => list[random.int(list.length)],
    shuffle(list) {
      const out = [...list]
      for (let i = out.length - 1; i > 0; i--) {
        const j = random.int(i + 1)
        ;[out[i], out[j]] = [out[j] as (typeof out)[number], out[i] as (typeof out)[number]]
      }
      return out
    },
    fork: (label) => seededRandom(`${seed}/${label}`),
  }
  return random
}

function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h | 0
}
