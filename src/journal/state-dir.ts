/** The state folder: who this install is, the journal of every open run, the reports of finished ones, their secrets. */
import { randomBytes } from 'node:crypto'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { JournalError, messageOf } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { ASIDE, keepAside, refuseAccepting, reportOfLoss, setAside } from './accept-loss.ts'
import type { Loss } from './accept-loss.ts'
import { Ballast, BALLAST_BYTES } from './ballast.ts'
import { isCode, nodeDisk, writeFileDurably } from './disk.ts'
import type { Disk } from './disk.ts'
import { FileJournal } from './file-journal.ts'
import type { RunState, StepState } from './journal.ts'
import { partFile, partOf, partsOf } from './parts.ts'
import { emptyState, loadStep, notRead, readJournal } from './read-journal.ts'
import { SMALL_BYTES } from './regular.ts'
import { parseReport, parseSecret } from './small-files.ts'
import { adviceFor, cannotRead, unreadableBy } from './unreadable.ts'

export interface StateDir {
  readonly path: string
  /** Minted with the folder; the first part of every mark. */
  readonly install: string
  /** The first file of its journal. */
  journalFile(run: string): string
  createJournal(run: string): Promise<FileJournal>
  resumeJournal(run: string): Promise<FileJournal>
  readJournal(run: string): Promise<RunState>
  /** The data of a step of that journal, with every fact recorded since. */
  loadStep(run: string, step: StepState): Promise<object>
  /** What an undo needs on a full disk is put by; every run begins with this. Throws JournalError where there is no room. */
  makeBallast(): Promise<void>
  /**
   * The journals that are there, oldest first. A run stays open until its journal says `run.finished`. One that cannot be
   * read is all damage, so that it does not keep the others from being undone; a newer format throws JOURNAL_NEWER.
   */
  journals(): Promise<RunState[]>
  /** The resolved target_config of an open run: durable when it resolves, 0600, removed when the run is clean. */
  keepSecret(run: string, targetConfig: unknown): Promise<void>
  /** Undefined where there is none. Throws JOURNAL_READ, and quotes nothing of it, where it cannot be read. */
  secret(run: string): Promise<unknown>
  /** The report of a run; written before its journal says `run.finished`. On a full disk only that of an undo gets the ballast. */
  writeReport(report: Report, options?: { ofUndo?: boolean }): Promise<void>
  /** Undefined where there is none. Throws JOURNAL_READ for a file that is no report. */
  report(run: string): Promise<Report | undefined>
  /** Run ids with a report, oldest first. */
  reports(): Promise<string[]>
  /** Removes what a clean run no longer needs: its journals with before-images of customer rows, and its secret. */
  forget(run: string): Promise<void>
  /**
   * Ends a run whose journal is damaged, on an operator's word: it gets its report, its files and its secret are kept aside
   * (returned). Throws RefusedError when it is not damaged, or what is readable in it is not undone yet, and JOURNAL_READ
   * when it cannot be read: then nobody knows whether it is damaged.
   */
  acceptLoss(loss: Loss): Promise<{ report: Report; aside: string[] }>
  /** Removes secrets without a journal: a crash came before the first record. Only while no run is beginning. */
  forgetLostSecrets(): Promise<void>
  /** Removes reports older than this many milliseconds, and damaged journals that were set aside then. */
  prune(olderThanMs: number, now: number): Promise<void>
}

export interface StateDirOptions {
  disk?: Disk
  ballastBytes?: number
}

/** Opens the folder for reading; undefined when it was never used. */
export async function findStateDir(path: string): Promise<StateDir | undefined> {
  const install = await readInstall(path, nodeDisk)
  return install === undefined ? undefined : stateDir(path, install, nodeDisk, BALLAST_BYTES)
}

/** For looking only: a folder that was never used reads as an empty one of a fresh install, and is not made. */
export async function peekStateDir(path: string): Promise<StateDir> {
  return (await findStateDir(path)) ?? stateDir(path, mintInstall(), nodeDisk, BALLAST_BYTES)
}

/** Opens the folder for writing, and makes it on first use. Throws JournalError where it cannot be written. */
export async function openStateDir(path: string, options: StateDirOptions = {}): Promise<StateDir> {
  const { disk = nodeDisk, ballastBytes = BALLAST_BYTES } = options
  try {
    await disk.mkdir(path)
    for (const folder of ['journal', 'history', 'secrets']) await disk.mkdir(join(path, folder), { inside: true })
    await mintOnce(path, disk)
  } catch (error) {
    throw await unwritable(path, error)
  }
  const install = await readInstall(path, disk)
  if (install === undefined) throw await unwritable(path, new Error('the install id could not be read back'))
  return stateDir(path, install, disk, ballastBytes)
}

function stateDir(path: string, install: string, disk: Disk, ballastBytes: number): StateDir {
  const journalDir = join(path, 'journal')
  const historyDir = join(path, 'history')
  const secretsDir = join(path, 'secrets')
  const ballast = new Ballast(disk, path, ballastBytes)
  const fileOf = (run: string): string => join(journalDir, `${run}.jsonl`)
  const makeRoom = (): Promise<boolean> => ballast.free()
  return {
    path,
    install,
    journalFile: fileOf,
    createJournal: (run) => FileJournal.create(fileOf(run), disk, makeRoom),
    resumeJournal: (run) => FileJournal.resume(fileOf(run), disk, makeRoom),
    readJournal: (run) => readJournal(fileOf(run), disk),
    loadStep: (run, step) => loadStep(fileOf(run), step, disk),
    makeBallast: () => ballast.make(),
    async journals() {
      const states: RunState[] = []
      const runs = await runsIn(journalDir, disk)
      for (const run of runs) {
        const state = await readAny(fileOf(run), runs, disk)
        // A daemon may have ended that run, and cleared it away, since the folder was listed.
        if (!isGone(state) || (await runsIn(journalDir, disk)).includes(run)) states.push(state)
      }
      return states
    },
    keepSecret: (run, targetConfig) =>
      guarded(path, writeFileDurably(disk, secretsDir, run, JSON.stringify(targetConfig))),
    async secret(run) {
      const file = join(secretsDir, run)
      const text = await readOptional(file, disk)
      return text === undefined ? undefined : parseSecret(file, text)
    },
    writeReport(report, { ofUndo = false } = {}) {
      const text = `${JSON.stringify(report, null, 2)}\n`
      const write = (): Promise<void> => writeFileDurably(disk, historyDir, `${report.run}.json`, text)
      return guarded(path, ofUndo ? ballast.withRoom(write) : write())
    },
    async report(run) {
      const file = join(historyDir, `${run}.json`)
      const text = await readOptional(file, disk)
      return text === undefined ? undefined : parseReport(file, text)
    },
    reports: async () => (await namesIn(historyDir, '.json', disk)).map((name) => name.slice(0, -'.json'.length)),
    async forget(run) {
      const names = await disk.list(journalDir)
      // Torn tails hold customer data too.
      const torn = names.filter(
        (name) => partOf(name.replace(/\.torn-\d+$/, ''))?.run === run && /\.torn-\d+$/.test(name),
      )
      const parts = (await partsOf(fileOf(run), disk)).map((part) => partFile(fileOf(run), part))
      // The newest says that the run is over: alone it is enough to go on from here after a crash.
      for (const file of [...torn.map((name) => join(journalDir, name)), ...parts.slice(0, -1)]) await disk.remove(file)
      if (torn.length + parts.length > 1) await disk.syncFolder(journalDir)
      for (const file of parts.slice(-1)) await disk.remove(file)
      await disk.syncFolder(journalDir)
      // Last: for as long as there is a journal it may be needed.
      await disk.remove(join(secretsDir, run))
      await disk.syncFolder(secretsDir)
    },
    async acceptLoss(loss) {
      const { run, now } = loss
      const damaged = await readAny(fileOf(run), await runsIn(journalDir, disk), disk)
      refuseAccepting(damaged)
      const report = reportOfLoss(damaged, await this.report(run).catch(() => undefined), loss)
      await this.writeReport(report, { ofUndo: true })
      const aside = await setAside(fileOf(run), disk, now)
      const secret = await keepAside(secretsDir, run, disk, now)
      await this.forget(run)
      return { report, aside: [...aside, ...secret] }
    },
    async forgetLostSecrets() {
      // In this order: a run that begins meanwhile has no secret in the list.
      const secrets = await disk.list(secretsDir)
      if (secrets.length === 0) return
      // Where a newer version has been, what looks lost may be its own: that throws.
      const open = new Set(
        (await this.journals()).flatMap(({ file, damage }) => [
          basename(file, '.jsonl'),
          // Renamed, it is still the journal of that run.
          ...damage.flatMap(({ foreign }) => foreign?.run ?? []),
        ]),
      )
      const aside = (await disk.list(journalDir)).filter((name) => ASIDE.test(name))
      for (const name of secrets) {
        if (open.has(name) || ASIDE.test(name)) continue
        const at = aside.find((file) => partOf(file.replace(ASIDE, ''))?.run === name)
        // A crash came while its run was set aside.
        if (at === undefined) await disk.remove(join(secretsDir, name))
        else await keepAside(secretsDir, name, disk, Number(ASIDE.exec(at)?.[1]))
      }
    },
    async prune(olderThanMs, now) {
      for (const name of await namesIn(historyDir, '.json', disk)) {
        // A report that cannot be read is left to a person, and does not keep the others for ever.
        const report = await this.report(name.slice(0, -'.json'.length)).catch(() => undefined)
        if (report && now - Date.parse(report.finished_at) > olderThanMs) await disk.remove(join(historyDir, name))
      }
      // They hold customer data, and what it takes to get at it.
      for (const folder of [journalDir, secretsDir])
        for (const name of await disk.list(folder)) {
          const aside = ASIDE.exec(name)
          if (aside && now - Number(aside[1]) > olderThanMs) await disk.remove(join(folder, name))
        }
    },
  }
}

/** Oldest first: run ids begin with their time. */
async function runsIn(journalDir: string, disk: Disk): Promise<string[]> {
  const names = await namesIn(journalDir, '.jsonl', disk)
  return [...new Set(names.flatMap((name) => partOf(name)?.run ?? []))].sort()
}

/** `runs`: those that have a journal. */
async function readAny(file: string, runs: readonly string[], disk: Disk): Promise<RunState> {
  try {
    return refuseForeign(await readJournal(file, disk), runs)
  } catch (error) {
    if (!(error instanceof JournalError) || error.code === 'JOURNAL_NEWER') throw error
    return { ...emptyState(file), damage: [notRead(error, file)] }
  }
}

function isGone({ damage }: RunState): boolean {
  return damage.length === 1 && damage[0]?.unreadable?.code === 'ENOENT'
}

/** A copy, or a file that was renamed: nobody knows whether it still counts, and undoing it would be that of another run. */
function refuseForeign({ started, ...state }: RunState, runs: readonly string[]): RunState {
  const run = basename(state.file, '.jsonl')
  if (!started || started.run === run) return started ? { ...state, started } : state
  const reason = `it is the journal of run ${started.run}: rename it to ${started.run}.jsonl, or remove it where that one is there too`
  const foreign = { run: started.run, there: runs.includes(started.run) }
  return { ...state, damage: [{ offset: 0, reason, foreign }, ...state.damage] }
}

/** Sorted. A folder that is not there is empty. */
async function namesIn(folder: string, ending: string, disk: Disk): Promise<string[]> {
  const names = await disk.list(folder).catch(async (error: unknown) => {
    if (isCode(error, 'ENOENT')) return []
    throw new JournalError('JOURNAL_READ', await cannotRead(folder, error), { cause: error })
  })
  return names.filter((name) => name.endsWith(ending) && !name.startsWith('.')).sort()
}

/** Two first starts at once agree on one id: the name is created by one of them only. */
async function mintOnce(path: string, disk: Disk): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    if ((await readInstall(path, disk)) !== undefined) return
    try {
      const file = await disk.open(join(path, 'install'), 'create')
      try {
        await file.write(Buffer.from(`${mintInstall()}\n`), 0)
        await file.datasync()
      } finally {
        await file.close()
      }
      await disk.syncFolder(path)
      return
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
      // Another process is writing it just now.
      await sleep(50)
    }
  }
  // Empty, a crash came between its name and its content: then nothing was ever marked with it. Else it names marks.
  const damaged = await readOptional(join(path, 'install'), disk, SMALL_BYTES)
  if (damaged !== undefined && /[^\0\s]/.test(damaged))
    await disk.rename(join(path, 'install'), join(path, `install.damaged-${Date.now()}`))
  await writeFileDurably(disk, path, 'install', `${mintInstall()}\n`)
}

async function readInstall(path: string, disk: Disk): Promise<string | undefined> {
  const text = await readOptional(join(path, 'install'), disk, SMALL_BYTES).catch((error: unknown) => {
    const advice = 'Name the state folder with --state-dir or CHAOS_STATE_DIR, or be its owner'
    throw new JournalError('JOURNAL_READ', `${messageOf(error)}. ${advice}`, { cause: error })
  })
  return text !== undefined && /^[a-z0-9]{4,12}$/.test(text.trim()) ? text.trim() : undefined
}

async function readOptional(file: string, disk: Disk, most?: number): Promise<string | undefined> {
  try {
    return (await disk.readFile(file, most)).toString('utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw new JournalError('JOURNAL_READ', await cannotRead(file, error), { cause: error })
  }
}

async function guarded(path: string, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    throw await unwritable(path, error)
  }
}

async function unwritable(path: string, error: unknown): Promise<JournalError> {
  const code = unreadableBy(error, path)?.code
  const advice = code === undefined ? '' : await adviceFor(pathOf(error) ?? path, code)
  return new JournalError(
    'JOURNAL_WRITE',
    `cannot write the state folder ${path}: ${messageOf(error)}. ${advice === '' ? '' : `${advice}. `}Name one that can be written with --state-dir or CHAOS_STATE_DIR`,
    { cause: error },
  )
}

/** Of the file that the system refused. */
function pathOf(error: unknown): string | undefined {
  return error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : undefined
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** Random letters and digits for names; `length` at most 32. */
export function randomName(length: number): string {
  return Array.from(randomBytes(length), (byte) => ALPHABET[byte % 32]).join('')
}

function mintInstall(): string {
  return randomName(6)
}

/** `261122t035310x7k2`: sorts by time, unique within an install. */
export function mintRun(now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]/g, '').slice(2, 15).toLowerCase()
  return `${stamp}${randomName(4)}`
}
