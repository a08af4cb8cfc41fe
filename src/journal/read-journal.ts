/** Reading journals: everything the files of a run say, in one state. Nothing here ever changes a file. */
import { JournalError, messageOf } from '../core/errors.ts'
import { markOf } from '../core/skill.ts'
import { nodeDisk } from './disk.ts'
import type { Disk, DiskFile } from './disk.ts'
import { emptyFileState } from './file-state.ts'
import type { FileState, FileStep, Position } from './file-state.ts'
import { CHAIN_START, decodeLine, MAX_TAIL_BYTES, wasWhole } from './format.ts'
import { fold, JOURNAL_FORMAT } from './journal.ts'
import type { Damage, Stamped } from './journal.ts'
import { linesOf } from './lines.ts'
import { partFile, partsOf } from './parts.ts'
import { isRecord } from './record-shape.ts'
import { cannotRead, unreadableBy } from './unreadable.ts'

/**
 * Everything the journal of a run says; `file` is its first, and those in which it went on are read with it. Throws
 * JournalError when none of them can be read, or one is of a newer format.
 */
export async function readJournal(file: string, disk: Disk = nodeDisk): Promise<FileState> {
  const state = emptyFileState(file)
  const found = await partsOf(file, disk)
  const parts = found.length > 0 ? found : [1]
  const unreadable: JournalError[] = []
  for (const part of parts) {
    try {
      await readPart(state, part, disk)
    } catch (error) {
      if (!(error instanceof JournalError) || error.code === 'JOURNAL_NEWER') throw error
      unreadable.push(error)
      state.damage.push({ ...inPart(part), ...notRead(error, partFile(file, part)) })
    }
  }
  if (unreadable[0] && unreadable.length === parts.length) throw unreadable[0]
  // The first is removed first, and only of a run that is over.
  if (!parts.includes(1) && !state.finished) state.damage.unshift({ offset: 0, reason: 'it is gone' })
  const { started, steps } = state
  // By its mark a session or a lease is ended: it is the one of the run and the step, whatever is written there.
  if (started) for (const step of steps) step.mark = markOf(started.install, started.run, step.step)
  return state
}

/** One file of the run, added to what the earlier ones say. */
async function readPart(state: FileState, part: number, disk: Disk): Promise<void> {
  const file = partFile(state.file, part)
  Object.assign(state, { part, readable: false, goodLength: 0, tornBytes: 0, lastCrc: CHAIN_START, lastSeq: 0 })
  const damage = (offset: number, reason: string): void => void state.damage.push({ ...inPart(part), offset, reason })
  /** Where bytes begin that are a torn tail unless something follows them. */
  let torn: number | undefined
  let damaged = false
  let end = 0
  /** Where the last record ends. */
  let known = 0
  try {
    for await (const { bytes, offset, whole } of linesOf(file, disk)) {
      end = offset + bytes.length + (whole ? 1 : 0)
      if (end - known > MAX_TAIL_BYTES) {
        damage(known, `more than ${MAX_TAIL_BYTES / 2 ** 20} MiB that are no records; what follows is not read`)
        return
      }
      const line = whole ? decodeLine(bytes) : undefined
      if (!line && !wasWhole(bytes, whole)) {
        torn ??= offset
        continue
      }
      if ((!line || torn !== undefined) && !damaged) damage(torn ?? offset, 'unreadable')
      torn = undefined
      damaged = !line
      state.goodLength = end
      if (!line) continue
      known = end
      if (line.prev !== state.lastCrc || line.seq !== state.lastSeq + 1) {
        damage(offset, `record ${line.seq} does not follow record ${state.lastSeq}`)
      }
      const record = parse(line.json)
      const format = formatOf(record)
      if (format !== undefined && format > JOURNAL_FORMAT) throw newer(file, format)
      if (isRecord(record)) foldAt(state, record as Stamped, { part, offset, length: bytes.length })
      else damage(offset, `record ${line.seq} is none of a journal`)
      state.lastCrc = line.crc
      state.lastSeq = line.seq
    }
  } catch (error) {
    if (error instanceof JournalError) throw error
    throw new JournalError('JOURNAL_READ', await cannotRead(file, error, 'the journal '), { cause: error })
  }
  state.tornBytes = end - state.goodLength
  state.readable = true
}

/** Adds a record, and where the data of its step stands. */
function foldAt(state: FileState, record: Stamped, at: Position): void {
  const before = state.steps.length
  fold(state, record)
  for (const step of state.steps.slice(before)) Object.assign(step, { planned: at, facts: [] })
  if (record.type === 'step.recorded' || record.type === 'undo.progress')
    state.steps.findLast(({ step }) => step === record.step)?.facts.push(at)
}

/** Of a file of which nothing is known: damaged, unless the system did not let us read it. */
export function notRead(error: unknown, path: string): Pick<Damage, 'offset' | 'reason' | 'unreadable'> {
  const unreadable = unreadableBy(error, path)
  return { offset: 0, reason: messageOf(error), ...(unreadable ? { unreadable } : {}) }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** Checked first: the records of a newer version may have another form. */
function formatOf(record: unknown): number | undefined {
  const { format } = Object(record) as { format?: unknown }
  return typeof format === 'number' ? format : undefined
}

function inPart(part: number): { part?: number } {
  return part === 1 ? {} : { part }
}

/** The step's data: as planned, with every fact recorded since, read from the files. */
export async function loadStep(file: string, step: FileStep, disk: Disk = nodeDisk): Promise<object> {
  const handles = new Map<number, DiskFile>()
  const data = {}
  try {
    for (const { part, offset, length } of [step.planned, ...step.facts]) {
      const from = partFile(file, part)
      const handle = handles.get(part) ?? (await disk.open(from, 'read'))
      handles.set(part, handle)
      const line = decodeLine(await handle.read(offset, length))
      if (!line)
        throw new JournalError('JOURNAL_READ', `the record at byte ${offset} of ${from} has changed since it was read`)
      const record = JSON.parse(line.json) as { data?: object; facts?: object }
      Object.assign(data, record.data ?? record.facts)
    }
  } finally {
    for (const handle of handles.values()) await handle.close()
  }
  return data
}

function newer(file: string, format: number): JournalError {
  return new JournalError(
    'JOURNAL_NEWER',
    `${file} was written in format ${format} by a newer version; this one knows ${JOURNAL_FORMAT}. Nothing was touched: run the newer version`,
  )
}
