/** Which calls fired, from a seed; saved as JSON, the same calls fire again. */
import { FaultConfigError } from './fault.ts'
import { draw, drawsFrom, hashText, mintSeed } from './random.ts'
import type { Draws } from './random.ts'

/** The form in JSON. */
export interface SavedSequence {
  seed: string | number
  /** `component/rule` → ranges of call numbers that fired, the first call being 1. */
  fired: Record<string, [number, number][]>
  /** False when it became too long to be kept. */
  complete: boolean
}

export interface SequenceOptions {
  /** The same seed gives the same sequence; minted when there is none. */
  seed?: string | number | undefined
  /** Keep what fired, for `toJSON`. Off unless told, since it grows. */
  record?: boolean
}

/** One rule's part of a sequence. */
export interface Track {
  /** 0 to 2³²−1, to be held against a probability. */
  draw(call: number): number
  /** Choices of the action that fires in this call. */
  draws(call: number): Draws
  /** In a replay: whether this call fired then. */
  readonly replay: ((call: number) => boolean) | undefined
  fired(call: number): void
}

/** Ranges kept at most. */
const MOST_RANGES = 1_000_000

export class FaultSequence {
  readonly seed: string | number
  readonly #record: boolean
  readonly #replayed: ReadonlyMap<string, readonly [number, number][]> | undefined
  readonly #fired = new Map<string, [number, number][]>()
  readonly #names = new Map<string, number>()
  #ranges = 0

  constructor(options: SequenceOptions & { replay?: SavedSequence } = {}) {
    const { replay } = options
    if (replay && !replay.complete)
      throw new FaultConfigError('this sequence was too long to be kept whole: it cannot be replayed, but its seed can')
    this.seed = replay?.seed ?? options.seed ?? mintSeed()
    this.#record = options.record ?? replay !== undefined
    this.#replayed = replay && new Map(Object.entries(replay.fired))
  }

  /** Exactly the calls of a saved sequence fire, whatever probabilities and times say. */
  static replay(saved: SavedSequence): FaultSequence {
    return new FaultSequence({ replay: saved })
  }

  /** The track of one rule. A name that is asked for again gets a track of its own, so the order of asking counts. */
  track(name: string): Track {
    const times = (this.#names.get(name) ?? 0) + 1
    this.#names.set(name, times)
    const full = times === 1 ? name : `${name}~${times}`
    const [key, actionKey] = [hashText(`${this.seed}/${full}`), hashText(`${this.seed}/${full}/action`)]
    const ranges = this.#replayed && (this.#replayed.get(full) ?? [])
    return {
      draw: (call) => draw(key, call),
      draws: (call) => drawsFrom(draw(actionKey, call)),
      replay: ranges && inRanges(ranges),
      fired: this.#record ? (call) => this.#note(full, call) : () => undefined,
    }
  }

  toJSON(): SavedSequence {
    return {
      seed: this.seed,
      fired: Object.fromEntries([...this.#fired].map(([name, ranges]) => [name, ranges.map(([a, b]) => [a, b])])),
      complete: this.#record && this.#ranges < MOST_RANGES,
    }
  }

  #note(name: string, call: number): void {
    let ranges = this.#fired.get(name)
    if (ranges === undefined) this.#fired.set(name, (ranges = []))
    const last = ranges.at(-1)
    if (last?.[1] === call - 1) last[1] = call
    else if (this.#ranges < MOST_RANGES) {
      ranges.push([call, call])
      this.#ranges++
    }
  }
}

/** Calls are asked for in rising order, so each range is passed once. */
function inRanges(ranges: readonly (readonly [number, number])[]): (call: number) => boolean {
  let at = 0
  return (call) => {
    while (at < ranges.length && (ranges[at]?.[1] ?? 0) < call) at++
    return (ranges[at]?.[0] ?? Infinity) <= call
  }
}
