/**
 * Seeded randomness by counter: draw n of a stream needs none of the draws before it, so any call can be repeated alone.
 * Not for secrets.
 */

/** FNV-1a; the key of a stream from its name. */
export function hashText(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return mix(h)
}

/** Draw `n` of the stream `key`: 0 to 2³²−1. */
export function draw(key: number, n: number): number {
  return mix((key + Math.imul(n, 0x9e3779b9)) | 0) >>> 0
}

/** A stream of draws for one action. */
export interface Draws {
  /** A float in [0, 1). */
  next(): number
  /** A whole number in [0, below). */
  int(below: number): number
}

export function drawsFrom(key: number): Draws {
  let n = 0
  const next = () => draw(key, ++n) / 2 ** 32
  return { next, int: (below) => Math.floor(next() * below) }
}

/** A seed that nobody chose: short enough to be typed again. */
export function mintSeed(): string {
  return Math.floor(Math.random() * 2 ** 40).toString(36)
}

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return x ^ (x >>> 16)
}
