/**
 * Everything there is: a disk, two systems, the time, and at most one daemon with its workers. What may go wrong is armed
 * as a trap, and springs at the nth operation from then on, on the disk or on a system.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Report } from '../../src/core/report.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { seededRandom } from '../../src/core/random.ts'
import { prepare } from '../crash/disk-world.ts'
import { crashesAt, someCrashesAt } from '../crash/crash-states.ts'
import { SimulatedDisk } from '../fakes/simulated-disk.ts'
import { ModelClock } from './clock.ts'
import { Configuration, ADDRESSES } from './configuration.ts'
import type { Address } from './configuration.ts'
import { Life } from './life.ts'
import { runIn, stepIn, System } from './system.ts'
import type { Operation } from './operations.ts'
import type { Bug } from './workers.ts'

export type SystemName = 'one' | 'two'

interface Trap {
  left: number
  spring(actor?: Life): void
}

export class World {
  readonly clock = new ModelClock()
  readonly systems: Record<SystemName, System>
  readonly configuration: Configuration
  /** Which system answers at an address. */
  readonly addresses = new Map<Address, SystemName>(ADDRESSES)
  readonly bug: Bug
  /** What must never be; the first ends the sequence. */
  readonly violations: string[] = []
  readonly workers = new Map<string, Life>()
  /** The supervisor's process, while one is up. */
  daemon: Life | undefined
  disk = new SimulatedDisk()
  /** Crashes of any kind so far. */
  crashes = 0
  /** Errors of the disk and power cuts: after these, and only then, a journal may be damaged. */
  diskTroubles = 0
  reports: Report[] = []
  /** How often each kind of trap has sprung. */
  readonly met = new Map<Operation['do'], number>()
  /** Of those, errors of reading: they may stop a command, which says so. */
  readTroubles = 0
  readonly #due = new Set<string>()
  #traps: Trap[] = []
  #full = false

  private constructor(bug: Bug) {
    this.bug = bug
    const server = new Life()
    const around = {
      violation: (what: string): void => this.violation(what),
      after: (ms: number): Promise<void> => this.clock.of(server).sleep(ms),
    }
    this.systems = { one: new System('one', around), two: new System('two', around) }
    for (const system of Object.values(this.systems)) system.knows = bug.knows ?? 'all'
    this.configuration = new Configuration(this.systems)
  }

  static async open(bug: Bug = {}): Promise<World> {
    const world = new World(bug)
    countedBytes()
    await prepare(world.disk)
    world.disk.lazy = bug.lazy
    return world
  }

  violation(what: string): void {
    this.violations.push(what)
  }

  at(url: string): System {
    const name = this.addresses.get(url as Address)
    if (name === undefined) throw new Error(`there is nothing at ${url}`)
    return this.systems[name]
  }

  arm(after: number, spring: Trap['spring']): void {
    this.#traps.push({ left: after, spring })
  }

  /** Ahead of every operation. */
  tick(actor: Life): void {
    for (const trap of this.#traps) trap.left--
    const due = this.#traps.filter((trap) => trap.left <= 0)
    this.#traps = this.#traps.filter((trap) => trap.left > 0)
    for (const trap of due) trap.spring(actor)
  }

  workerBegins(run: string, life: Life): void {
    const other = this.workers.get(run)
    if (other && !other.over) this.violation(`two workers are at run ${run}`)
    this.workers.set(run, life)
    life.onEnd(() => {
      if (this.workers.get(run) === life) this.workers.delete(run)
    })
  }

  /** `kill -9`. */
  kill(who: 'worker' | 'daemon' | 'both', actor?: Life): boolean {
    const { daemon } = this
    const workers = [...this.workers.values()]
    const one = actor && workers.includes(actor) ? actor : workers[0]
    const dead = who === 'worker' ? [one] : who === 'daemon' ? [daemon] : [...workers, daemon]
    const hit = dead.filter((life) => life && !life.over)
    // Workers first: those of a dead daemon that are to live on hear of it.
    for (const life of hit) life?.end()
    if (hit.length > 0) this.crashes++
    if (who !== 'worker') this.daemon = undefined
    return hit.length > 0
  }

  /** Everything stops at once, and of what was not synced only a part is there afterwards: which one, `how` says. */
  powerCut(how: number): void {
    for (const life of [...this.workers.values(), this.daemon]) life?.end()
    this.daemon = undefined
    const frozen = this.disk.freeze()
    const random = seededRandom(how)
    // Half of them lose any sectors and names; of all there are, most are one write torn at each of its bytes.
    const crashes = [...(how % 2 === 0 ? someCrashesAt(random) : crashesAt(frozen, random))]
    const crash = crashes[Math.floor(how / 2) % crashes.length]!
    const { lazy } = this.disk
    this.disk = SimulatedDisk.after(frozen, crash)
    this.disk.lazy = lazy
    if (this.#full) this.disk.capacity = this.disk.used
    this.crashes++
    this.diskTroubles++
  }

  fill(): void {
    this.#full = true
    this.disk.capacity = this.disk.used
  }

  makeRoom(): void {
    this.#full = false
    this.disk.capacity = Infinity
    this.disk.fault = undefined
  }

  /** The next operation fails, or every one until there is room again; after a failed sync its bytes are in doubt. */
  diskError(of: 'changes' | 'reads', forever: boolean): void {
    this.disk.fault = { of, after: this.disk[of], code: 'EIO', forever }
    this.diskTroubles++
    if (of === 'reads') this.readTroubles++
  }

  /** A due time is handed out: never twice, whatever becomes of the clock and of the process. */
  due(experiment: string, slot: string): void {
    const key = `${experiment} at ${slot}`
    if (this.#due.has(key)) this.violation(`${key} is due twice`)
    this.#due.add(key)
  }

  /** The systems change places behind their addresses, or back. */
  exchange(): void {
    const [one, two] = [this.at('model://two'), this.at('model://one')].map((s) =>
      s === this.systems.one ? 'one' : 'two',
    )
    for (const [address, name] of ADDRESSES) this.addresses.set(address, (name === 'one' ? one : two) ?? name)
  }

  /** Whatever is wrong comes right, except what only an undo can put back, and what is configured. */
  heal(): void {
    this.#traps = []
    this.makeRoom()
    for (const system of Object.values(this.systems)) {
      system.up = true
      system.reverts = undefined
      system.outcomes.length = 0
    }
    for (const [address, name] of ADDRESSES) this.addresses.set(address, name)
  }

  get writes(): number {
    return this.systems.one.writes + this.systems.two.writes
  }

  /** Everything that was asked of the systems. */
  get calls(): number {
    return this.systems.one.log.length + this.systems.two.log.length
  }

  /** Marks that are live on any system. */
  get live(): string[] {
    return Object.values(this.systems).flatMap((system) => system.live)
  }

  get left(): string[] {
    return Object.entries(this.systems).flatMap(([name, system]) => system.left.map((what) => `${name}: ${what}`))
  }

  /** What a run says is left must be what is left. */
  judgeReport(report: Report): void {
    this.reports.push(report)
    const { run, residue } = report
    const named = new Set(residue.map((r) => r.step))
    const steps = this.live.filter((mark) => runIn(mark) === run).map(stepIn)
    const everything = named.has(0)
    const silent = steps.filter((step) => !named.has(step) && !everything)
    if (silent.length > 0) this.violation(`run ${run} does not report what is left of step ${silent.join(', ')}`)
    const seen = residue.filter((r) => r.error.startsWith('still in effect'))
    const taken = (step: number): boolean =>
      Object.values(this.systems).some((s) => s.keptFrom.some((k) => runIn(k.mark) === run && stepIn(k.mark) === step))
    for (const { step } of seen) {
      if (!steps.includes(step) && !taken(step))
        this.violation(`run ${run} reports step ${step}, which is not in effect`)
    }
  }

  /** At any moment: what is live is of a run that is under way, or known as not undone. */
  judge(blocked: readonly string[]): void {
    for (const mark of this.live) {
      const run = runIn(mark)
      if (!this.workers.has(run) && !blocked.includes(run))
        this.violation(`nobody knows of ${mark}, which is in effect`)
    }
  }

  /** What strangers changed under us is kept, and the reports say so. `excused` are runs whose journal was damaged. */
  async judgeKept(state: StateDir, excused: ReadonlySet<string>): Promise<void> {
    for (const system of Object.values(this.systems)) {
      for (const { mark, key } of system.keptFrom) {
        const [run, step] = [runIn(mark), stepIn(mark)]
        if (excused.has(run)) continue
        const names = (await state.history.read(run))?.steps.find((s) => s.step === step)?.kept_names
        if (!names?.includes(key))
          this.violation(`the report of ${run} does not say that ${key} of step ${step} was kept`)
      }
    }
  }
}

/** Names in the order of their making, instead of random ones: a sequence must come out the same every time. */
function countedBytes(): void {
  let made = 0
  const crypto = createRequire(import.meta.url)('node:crypto') as { randomBytes: (size: number) => Buffer }
  crypto.randomBytes = (size) => {
    const bytes = Buffer.alloc(size)
    for (let rest = made++, at = Math.min(size, 8) - 1; at >= 0; at--, rest = Math.floor(rest / 32))
      bytes[at] = rest % 32
    return bytes
  }
  syncBuiltinESMExports()
}
