/** The daemon of the model: the real Daemon, Dispatcher, Schedule and Supervisor, in a life that can end at any moment. */
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/core/clock.ts'
import { CodedError, messageOf } from '../../src/core/errors.ts'
import type { ChaosEvent } from '../../src/core/events.ts'
import { Daemon } from '../../src/daemon/daemon.ts'
import { memoryHandled } from '../../src/schedule/watermark.ts'
import type { Handled, HandledStore } from '../../src/schedule/watermark.ts'
import { LocalClaims } from '../../src/supervisor/claims.ts'
import { lockState, noLock } from '../../src/supervisor/lock.ts'
import type { StateLock } from '../../src/supervisor/lock.ts'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import { Tracker } from '../../src/daemon/tracker.ts'
import { LocalTurns } from '../../src/daemon/turns.ts'
import { Trust } from '../../src/daemon/trust.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import type { StandingOrders, Orders } from '../../src/journal/orders.ts'
import type { SlotLog } from '../../src/journal/due-log.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { Runs } from '../../src/journal/runs.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { BALLAST, STATE } from '../crash/disk-world.ts'
import type { TargetConfig } from './configuration.ts'
import { diskOf, Life } from './life.ts'
import { modelTarget } from './target.ts'
import { workersOf } from './workers.ts'
import type { World } from './world.ts'

/** How long a newcomer waits for orphaned workers before it ends them, as in `supervisor/lock.ts`. */
const ORPHAN_MS = 20_000
export const NO_PROGRESS_MS = 30_000
/** Longer than any undo may take; what has not ended by then hangs. */
const LONG = 6 * 3_600_000

interface Up {
  life: Life
  state: StateDir
  supervisor: Supervisor
  lock: StateLock
}

interface Running extends Up {
  daemon: Daemon
  stop: AbortController
  main: Promise<{ pending: number }>
}

export class Service {
  readonly #world: World
  /** A folder for the real lock, where the sequence has a second daemon in it: it takes a process to take it. */
  readonly #lockDir: string | undefined
  #running: Running | undefined
  #orders: StandingOrders = { disabled: {}, trusted: [] }
  #handled = new Map<string, Handled>()

  constructor(world: World, { locks }: { locks: boolean }) {
    this.#world = world
    this.#lockDir = locks ? mkdtempSync(join(tmpdir(), 'chaos-model-')) : undefined
  }

  /** Undefined while none is up. */
  get running(): Running | undefined {
    return this.#running?.life.over === false ? this.#running : undefined
  }

  get folder(): string | undefined {
    return this.#lockDir
  }

  /** Starts the daemon unless it is up; undefined where it cannot start, or dies meanwhile. */
  async boot(): Promise<Running | undefined> {
    if (this.running) return this.running
    const up = await this.#open()
    if (!up) return undefined
    const { clock, configuration } = this.#world
    const { life, state, supervisor } = up
    const stop = new AbortController()
    const tracker = new Tracker()
    const orders = this.#standingOrders()
    const time = clock.of(life)
    const warn = (): void => undefined
    const summaryOf = (run: string): string => tracker.summaryOf(run)
    const trust = new Trust({ orders, clock: time, mode: () => 'warn', summaryOf, warn })
    supervisor.admitBy((run) => trust.admit(run))
    let ready = false
    this.#sink = (event) => {
      tracker.see(event)
      if (event.type === 'schedule.due') this.#world.due(event.experiment, event.slot)
      ready ||= event.type === 'daemon.ready'
    }
    const daemon = new Daemon({
      ...{ config: configuration.now, version: '0', supervisor, stateDir: STATE, orders, tracker, trust, clock: time },
      turns: new LocalTurns(configuration.now.settings.max_concurrent),
      ...{ slotLog: noSlots, handled: this.#handledStore(life), install: state.install, stop: stop.signal },
      hasReport: (run) => state.history.read(run).then((report) => report !== undefined),
      notified: () => ({ delivered: 0, failed: 0, dropped: 0, waiting: 0 }),
      reload: () => Promise.resolve(configuration.now),
    })
    const main = life.of(() => daemon.main())
    main.catch(() => {
      // An error of the disk: the process ends with it, and its workers lose their supervisor.
      if (!life.over) this.#world.kill('daemon')
    })
    this.#running = { ...up, daemon, stop, main }
    if (!(await clock.until(() => ready || life.over, LONG))) this.#world.violation('the daemon never gets ready')
    return this.running
  }

  /** Tells it to stop, and waits: everything that it does not hand over is undone. */
  async signal(): Promise<void> {
    const { running } = this
    if (!running) return
    running.stop.abort(new CodedError('ABORTED', 'SIGTERM'))
    const end = await this.drive(running.life, running.main, 'the daemon, told to stop,')
    if (!end) return
    if (this.#world.workers.size > 0) this.#world.violation('the daemon ends before its workers')
    await this.#exit(running)
    // A journal that a failing disk made, and took no word of, and one that it does not let go are files and nothing more.
    const open = (await this.looking().journals()).filter(
      (journal) =>
        journal.damage.length > 0 || pendingSteps(journal).length > 0 || (journal.started && !journal.finished),
    ).length
    if (open !== end.pending && this.#world.readTroubles === 0)
      this.#world.violation(`the daemon ends with ${end.pending} pending runs, and ${open} are open`)
  }

  /** One round of recovery, by the daemon or by a command of its own; `only` one run, and where its system is now. */
  async recover(only?: { run: string } & TargetConfig): Promise<boolean> {
    const { running } = this
    const up = running ?? (await this.#open())
    if (!up) return false
    const { run, ...target_config } = only ?? {}
    const round = up.supervisor.recoverAll({
      noProgressMs: NO_PROGRESS_MS,
      ...(run === undefined ? {} : { only: run, handOver: { target_config } }),
    })
    const reports = await this.drive(up.life, round, 'a recovery', () => this.#world.readTroubles > 0)
    if (up.life.over) return false
    if (reports && !only) this.#world.judge(up.supervisor.blocked.map(({ run }) => run))
    if (!running) await this.#exit(up)
    return reports !== undefined
  }

  /** Waits for something that a process does. Undefined when the process dies first, or it fails and may do so. */
  async drive<T>(life: Life, work: Promise<T>, what: string, mayFail = () => false): Promise<T | undefined> {
    let value: T | undefined
    let failure: unknown
    let settled = false
    work.then(
      (result) => {
        value = result
        settled = true
      },
      (error: unknown) => {
        failure = error
        settled = true
      },
    )
    const ended = await this.#world.clock.until(() => settled || life.over, LONG)
    if (!ended) this.#world.violation(`${what} does not end`)
    if (failure !== undefined && !mayFail() && !life.over)
      this.#world.violation(`${what} gives up: ${messageOf(failure)}`)
    return value
  }

  /** The state folder, for looking into it. */
  looking(): StateDirOf {
    const { disk } = this.#world
    const open = (): Promise<StateDir> => openStateDir(STATE, { disk, ballastBytes: BALLAST })
    const journals = async (): ReturnType<Runs['list']> => {
      const { fault } = disk
      disk.fault = undefined
      const found = await (await open()).runs.list()
      disk.fault = fault
      return found
    }
    return { journals, open }
  }

  /** A second daemon at the same folder. */
  async second(): Promise<void> {
    const world = this.#world
    if (!this.running || this.#lockDir === undefined) return
    const note = (): string => readFileSync(join(this.#lockDir ?? '', 'daemon.json'), 'utf8')
    const picture = (): string => JSON.stringify([note(), world.disk.changes, world.writes, world.calls])
    const before = picture()
    try {
      const lock = await lockState(this.#lockDir, 'daemon', systemClock, () => undefined)
      await lock.release()
      world.violation('a second daemon is let in')
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'LOCKED')
        world.violation(`a second daemon is refused with ${messageOf(error)}`)
    }
    if (picture() !== before) world.violation('a second daemon that was refused has changed something')
  }

  #sink: (event: ChaosEvent) => void = () => undefined

  /** A process that has the folder, which it gets only after the last worker of the one before is gone. */
  async #open(): Promise<Up | undefined> {
    const world = this.#world
    if (!(await world.clock.until(() => world.workers.size === 0, ORPHAN_MS)))
      for (const orphan of [...world.workers.values()]) orphan.end()
    const life = (world.daemon = new Life())
    const lock =
      this.#lockDir === undefined ? noLock : await lockState(this.#lockDir, 'daemon', systemClock, () => undefined)
    // The kernel gives it back with the process.
    life.onEnd(() => void lock.release())
    const disk = diskOf(life, world.disk, () => world.tick(life))
    const state = await this.drive(
      life,
      openStateDir(STATE, { disk, ballastBytes: BALLAST }),
      'opening the folder',
      () => this.#world.readTroubles > 0,
    )
    if (!state) {
      life.end()
      return undefined
    }
    this.#sink = () => undefined
    const supervisor = new Supervisor({
      ...{
        state,
        claims: new LocalClaims(),
        lock: noLock,
        main: '',
        targets: [modelTarget(() => Promise.reject(new Error('it must not connect')) as never)],
      },
      ...{ clock: world.clock.of(life), startWorker: workersOf(world, life) },
      emit: (event) => {
        if (!life.over) this.#sink(event)
      },
      experiments: () => world.configuration.now.experiments.map(({ experiment }) => experiment),
    })
    return { life, state, supervisor, lock }
  }

  async #exit({ life }: Up): Promise<void> {
    life.end()
    this.#world.daemon = undefined
    await this.#world.clock.settle()
  }

  #standingOrders(): Orders {
    const current = (): StandingOrders => this.#orders
    return {
      get current() {
        return current()
      },
      refresh: () => Promise.resolve(),
      change: (next) => {
        this.#orders = next(this.#orders)
        return Promise.resolve()
      },
    }
  }

  /** What was saved is there after a crash, and nothing else. */
  #handledStore(life: Life): HandledStore {
    const { slots } = memoryHandled(structuredClone(this.#handled))
    return {
      slots,
      save: () =>
        life.of(() => {
          this.#handled = structuredClone(slots)
          return Promise.resolve()
        }),
    }
  }
}

interface StateDirOf {
  journals(): ReturnType<Runs['list']>
  open(): Promise<StateDir>
}

const noSlots: SlotLog = {
  append: () => Promise.resolve(),
  read: () => Promise.resolve([]),
  prune: () => Promise.resolve(),
}
