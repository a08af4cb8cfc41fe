/**
 * A system in memory that is broken and put back, nastier than most: statements land late, sessions outlive the process
 * that opened them, strangers write. It knows who changed what, and so what must be there at the end.
 */
import { StaleError, TargetError } from '../../src/core/errors.ts'
import { FakeWorld } from '../fakes/agent.ts'

/** What becomes of one apply. */
export type Outcome = 'ok' | 'error' | 'lost' | 'part' | 'late' | 'hang' | 'stale'

/** A change on its way, or in effect. */
export interface Change {
  mark: string
  keys: string[]
  touches: string[]
  before: Record<string, string | null>
  /** Which thing of the name each key was. */
  of: Record<string, number>
  /** A session that holds the keys, instead of values. */
  held: boolean
}

const LATE_MS: Partial<Record<Outcome, number>> = { late: 10_000, hang: 20 * 60_000 }

export interface Surroundings {
  violation(what: string): void
  /** The server's own time: nobody's process. */
  after(ms: number): Promise<void>
}

/** `s` is a setting of the whole server, the others are in its one database. */
export const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 's']

export const FIRST_PASSWORD = 'p'

export class System extends FakeWorld {
  up = true
  password = FIRST_PASSWORD
  /** What becomes of reverts; undefined: what should. */
  reverts: 'refuse' | 'silent' | undefined
  /** Outcomes of the next applies; all others go well. */
  readonly outcomes: Outcome[] = []
  readonly sessions: Change[] = []
  /** Sent, and not landed yet. */
  readonly inFlight: Change[] = []
  /** What strangers want to find. */
  readonly theirs: Map<string, string>
  /** Where a stranger has changed what was ours: an undo must say that it was kept. */
  readonly keptFrom: { mark: string; key: string }[] = []
  /** Changes of the target. */
  writes = 0
  /** How an undo knows whose a value is: by value and thing, or, for the check of the model itself, by less. */
  knows: 'all' | 'value' | 'nothing' = 'all'
  readonly #known = new Map<string, Change & { order: number }>()
  /** A table that is dropped and made again has its old name, and is another thing. */
  readonly #things = new Map<string, number>()
  readonly #around: Surroundings
  #strangers = 0

  constructor(id: string, around: Surroundings) {
    super(Object.fromEntries(KEYS.map((key) => [key, `theirs ${key}`])))
    this.parts = { id }
    this.theirs = new Map(this.values)
    this.#around = around
  }

  reach(): void {
    if (!this.up) throw new TargetError('TARGET_UNREACHABLE', `${this.parts['id'] ?? ''} cannot be reached`)
  }

  /** A stranger comes by: to what is ours, where something is and he looks for it, else to any key. */
  foreign(nth: number, { of, remove }: { of: 'ours' | 'any'; remove: boolean }): void {
    const key = this.#pick(nth, of)
    const value = remove ? undefined : `theirs ${++this.#strangers}`
    const owner = this.#owner(key)
    if (owner !== undefined && (this.#known.get(owner)?.before[key] ?? null) !== (value ?? null))
      this.keptFrom.push({ mark: owner, key })
    this.#set(this.values, key, value)
    this.#set(this.theirs, key, value)
  }

  /** A stranger puts another thing in the place of one, which looks the same: a value of ours in it is now his. */
  replace(nth: number, of: 'ours' | 'any'): void {
    const key = this.#pick(nth, of)
    const mark = this.#owner(key)
    if (mark !== undefined) this.keptFrom.push({ mark, key })
    this.#things.set(key, this.thing(key) + 1)
    this.#set(this.theirs, key, this.values.get(key))
  }

  thing(key: string): number {
    return this.#things.get(key) ?? 0
  }

  /** Whether a step with this mark finds its own value there. */
  isOf(mark: string, key: string, of: Record<string, number> | undefined): boolean {
    if (this.knows === 'nothing') return true
    return this.values.get(key) === ours(mark) && (this.knows === 'value' || of?.[key] === this.thing(key))
  }

  #owner(key: string): string | undefined {
    const mark = markIn(this.values.get(key))
    return mark !== undefined && this.#known.get(mark)?.of[key] === this.thing(key) ? mark : undefined
  }

  #pick(nth: number, of: 'ours' | 'any'): string {
    const mine = [...this.values.keys()].filter((key) => this.#owner(key) !== undefined).sort()
    const among = of === 'ours' && mine.length > 0 ? mine : KEYS
    return among[nth % among.length]!
  }

  /** Marks of what is in effect now, or may still land. */
  get live(): string[] {
    const values = [...this.values.keys()].flatMap((key) => this.#owner(key) ?? [])
    return [...new Set([...values, ...[...this.sessions, ...this.inFlight].map((c) => c.mark)])]
  }

  /** Differences to what strangers want to find. */
  get left(): string[] {
    const keys = new Set([...this.values.keys(), ...this.theirs.keys()])
    const values = [...keys].filter((key) => this.values.get(key) !== this.theirs.get(key))
    return [
      ...values.map((key) => `${key} is ${this.values.get(key) ?? 'gone'}, not ${this.theirs.get(key) ?? 'gone'}`),
      ...this.sessions.map((c) => `session ${c.mark}`),
      ...this.inFlight.map((c) => `statement of ${c.mark}`),
    ]
  }

  /** The begin of an apply. Two runs must never be at the same thing. */
  begin(mark: string, touches: string[]): Outcome {
    const run = runIn(mark)
    for (const other of this.live) {
      const known = this.#known.get(other)
      if (known && runIn(other) !== run && overlap(known.touches, touches))
        this.#around.violation(`${mark} begins on ${touches.join(' ')} while ${other} is in effect there`)
    }
    this.#known.set(mark, { mark, touches, keys: [], before: {}, of: {}, held: false, order: this.#known.size })
    return this.outcomes.shift() ?? 'ok'
  }

  /** Sends it. It may land much later than its sender lives. */
  async send(change: Change, outcome: Outcome, signal: AbortSignal): Promise<void> {
    const known = this.#known.get(change.mark)
    if (known) Object.assign(known, change)
    const late = LATE_MS[outcome]
    if (late === undefined) this.#land(change, outcome === 'part')
    else await this.#later(change, late, signal)
    if (outcome === 'lost') throw new Error('connection reset by peer')
    if (outcome === 'part') throw new Error('it broke off half-way')
  }

  async #later(change: Change, ms: number, signal: AbortSignal): Promise<void> {
    this.inFlight.push(change)
    const landing = this.#around.after(ms).then(() => {
      const at = this.inFlight.indexOf(change)
      if (at < 0) throw new Error('terminated')
      this.inFlight.splice(at, 1)
      this.#land(change, false)
    })
    landing.catch(() => undefined)
    // The client hears of an abort at once; the server does not.
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    await Promise.race([landing, aborted])
  }

  #land(change: Change, half: boolean): void {
    const { mark, keys, before, of, held } = change
    if (held) {
      this.sessions.push(change)
      return
    }
    const moved = keys.some((key) => (this.values.get(key) ?? null) !== before[key] || this.thing(key) !== of[key])
    if (moved) throw new StaleError('somebody was faster')
    for (const key of half ? keys.slice(0, Math.ceil(keys.length / 2)) : keys) this.#set(this.values, key, ours(mark))
  }

  /** Ends everything of a run that is open or on its way. */
  end(run: string): void {
    for (const list of [this.sessions, this.inFlight]) {
      for (const change of list.filter((c) => runIn(c.mark) === run)) {
        list.splice(list.indexOf(change), 1)
        this.writes++
      }
    }
  }

  endSession(mark: string): void {
    const at = this.sessions.findIndex((c) => c.mark === mark)
    if (at < 0) return
    this.sessions.splice(at, 1)
    this.writes++
  }

  /** The undo of one step: last in, first out, wherever two touch the same. */
  undo(mark: string, keys: string[], { before, of }: { [fact in 'before' | 'of']?: Change[fact] | undefined }): void {
    const mine = this.#known.get(mark)
    for (const other of this.live) {
      const known = this.#known.get(other)
      if (mine && known && known.order > mine.order && overlap(known.touches, mine.touches))
        this.#around.violation(`${mark} is undone before ${other}, which came after it`)
    }
    if (this.reverts === 'refuse') throw new TargetError('TARGET_PRIVILEGE', 'permission denied')
    if (this.reverts === 'silent') return
    this.endSession(mark)
    for (const key of keys) {
      if (before && this.isOf(mark, key, of)) this.#set(this.values, key, before[key] ?? undefined)
    }
  }

  #set(values: Map<string, string>, key: string, value: string | undefined): void {
    if (value === undefined) values.delete(key)
    else values.set(key, value)
    if (values === this.values) this.writes++
  }
}

export function ours(mark: string): string {
  return `chaos by ${mark}`
}

function markIn(value: string | undefined): string | undefined {
  return value?.startsWith('chaos by ') === true ? value.slice('chaos by '.length) : undefined
}

/** `chaos-<install>-<run>-<step>` */
export function runIn(mark: string): string {
  return mark.split('-')[2] ?? ''
}

export function stepIn(mark: string): number {
  return Number(mark.split('-')[3])
}

function overlap(a: string[], b: string[]): boolean {
  return a.some((id) => b.includes(id))
}
