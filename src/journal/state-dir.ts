/** The state folder: who this install is, the journal of every open run, the reports of finished ones, their secrets. */
import { randomBytes } from 'node:crypto'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { JournalError, messageOf } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { nodeDisk, writeFileDurably } from './disk.ts'
import { emptyState, readJournal } from './file-journal.ts'
import type { RunState } from './journal.ts'

export interface StateDir {
  readonly path: string
  /** Minted with the folder; the first part of every mark. */
  readonly install: string
  journalFile(run: string): string
  /**
   * The journals that are there, oldest first. A run stays open until its journal says `run.finished`. One that cannot be
   * read is all damage, so that it does not keep the others from being undone; a newer format throws JOURNAL_NEWER.
   */
  journals(): Promise<RunState[]>
  /** The resolved target_config of an open run: durable when it resolves, 0600, removed when the run is clean. */
  keepSecret(run: string, targetConfig: unknown): Promise<void>
  /** Undefined where there is none. */
  secret(run: string): Promise<unknown>
  /** The report of a run; written before its journal says `run.finished`. */
  writeReport(report: Report): Promise<void>
  report(run: string): Promise<Report | undefined>
  /** Run ids with a report, oldest first. */
  reports(): Promise<string[]>
  /** Removes what a clean run no longer needs: its journal with before-images of customer rows, and its secret. */
  forget(run: string): Promise<void>
  /** Removes secrets without a journal: a crash came before the first record. Only while no run is beginning. */
  forgetLostSecrets(): Promise<void>
  /** Removes reports older than this many milliseconds. */
  prune(olderThanMs: number, now: number): Promise<void>
}

/** Opens the folder for reading; undefined when it was never used. */
export async function findStateDir(path: string): Promise<StateDir | undefined> {
  const install = await readInstall(path)
  return install === undefined ? undefined : stateDir(path, install)
}

/** For looking only: a folder that was never used reads as an empty one of a fresh install, and is not made. */
export async function peekStateDir(path: string): Promise<StateDir> {
  return (await findStateDir(path)) ?? stateDir(path, mintInstall())
}

/** Opens the folder for writing, and makes it on first use. Throws JournalError where it cannot be written. */
export async function openStateDir(path: string): Promise<StateDir> {
  try {
    for (const folder of ['', 'journal', 'history', 'secrets']) await nodeDisk.mkdir(join(path, folder))
    await mintOnce(path)
  } catch (error) {
    throw unwritable(path, error)
  }
  const install = await readInstall(path)
  if (install === undefined) throw unwritable(path, new Error('the install id could not be read back'))
  return stateDir(path, install)
}

function stateDir(path: string, install: string): StateDir {
  const journalDir = join(path, 'journal')
  const historyDir = join(path, 'history')
  const secretsDir = join(path, 'secrets')
  return {
    path,
    install,
    journalFile: (run) => join(journalDir, `${run}.jsonl`),
    async journals() {
      const states: RunState[] = []
      for (const name of await namesIn(journalDir, '.jsonl')) states.push(await readAny(join(journalDir, name)))
      return states
    },
    keepSecret: (run, targetConfig) =>
      guarded(path, writeFileDurably(nodeDisk, secretsDir, run, JSON.stringify(targetConfig))),
    async secret(run) {
      const text = await readOptional(join(secretsDir, run))
      return text === undefined ? undefined : (JSON.parse(text) as unknown)
    },
    writeReport: (report) =>
      guarded(
        path,
        writeFileDurably(nodeDisk, historyDir, `${report.run}.json`, `${JSON.stringify(report, null, 2)}\n`),
      ),
    async report(run) {
      const text = await readOptional(join(historyDir, `${run}.json`))
      return text === undefined ? undefined : (JSON.parse(text) as Report)
    },
    reports: async () => (await namesIn(historyDir, '.json')).map((name) => name.slice(0, -'.json'.length)),
    async forget(run) {
      await nodeDisk.remove(join(secretsDir, run))
      await nodeDisk.syncFolder(secretsDir)
      // Torn tails hold customer data too.
      const torn = (await nodeDisk.list(journalDir)).filter((name) => name.startsWith(`${run}.jsonl.torn-`))
      for (const name of [...torn, `${run}.jsonl`]) await nodeDisk.remove(join(journalDir, name))
      await nodeDisk.syncFolder(journalDir)
    },
    async forgetLostSecrets() {
      // In this order: a run that begins meanwhile has no secret in the list.
      const secrets = await nodeDisk.list(secretsDir)
      const open = new Set((await namesIn(journalDir, '.jsonl')).map((name) => basename(name, '.jsonl')))
      for (const name of secrets) if (!open.has(name)) await nodeDisk.remove(join(secretsDir, name))
    },
    async prune(olderThanMs, now) {
      for (const name of await namesIn(historyDir, '.json')) {
        // A report that cannot be read is left to a person, and does not keep the others for ever.
        const report = await this.report(basename(name, '.json')).catch(() => undefined)
        if (report && now - Date.parse(report.finished_at) > olderThanMs) await nodeDisk.remove(join(historyDir, name))
      }
    },
  }
}

async function readAny(file: string): Promise<RunState> {
  try {
    return await readJournal(file)
  } catch (error) {
    if (!(error instanceof JournalError) || error.code === 'JOURNAL_NEWER') throw error
    return { ...emptyState(file), damage: [{ offset: 0, reason: error.message }] }
  }
}

/** Sorted: run ids begin with their time. A folder that is not there is empty. */
async function namesIn(folder: string, ending: string): Promise<string[]> {
  const names = await nodeDisk.list(folder).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return []
    throw new JournalError('JOURNAL_READ', `cannot read ${folder}: ${messageOf(error)}`, { cause: error })
  })
  return names.filter((name) => name.endsWith(ending) && !name.startsWith('.')).sort()
}

/** Two first starts at once agree on one id: the name is created by one of them only. */
async function mintOnce(path: string): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    if ((await readInstall(path)) !== undefined) return
    try {
      const file = await nodeDisk.open(join(path, 'install'), 'create')
      try {
        await file.write(Buffer.from(`${mintInstall()}\n`), 0)
        await file.datasync()
      } finally {
        await file.close()
      }
      await nodeDisk.syncFolder(path)
      return
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
      // Another process is writing it just now.
      await sleep(50)
    }
  }
  // A crash came between its name and its content: then nothing was ever marked with it.
  await writeFileDurably(nodeDisk, path, 'install', `${mintInstall()}\n`)
}

async function readInstall(path: string): Promise<string | undefined> {
  const text = await readOptional(join(path, 'install'))
  return text !== undefined && /^[a-z0-9]{4,12}$/.test(text.trim()) ? text.trim() : undefined
}

async function readOptional(file: string): Promise<string | undefined> {
  try {
    return (await nodeDisk.readFile(file)).toString('utf8')
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw new JournalError('JOURNAL_READ', `cannot read ${file}: ${messageOf(error)}`, { cause: error })
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

async function guarded(path: string, work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    throw unwritable(path, error)
  }
}

function unwritable(path: string, error: unknown): JournalError {
  return new JournalError(
    'JOURNAL_WRITE',
    `cannot write the state folder ${path}: ${messageOf(error)}. Name one that can be written with --state-dir or CHAOS_STATE_DIR`,
    { cause: error },
  )
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
