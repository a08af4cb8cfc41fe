/**
 * A disk that can be stopped at any moment, with any part of what was not synced on it, and whose operations can be made
 * to fail. After a failed sync it behaves as kernels do: the bytes stay readable, and no later sync makes them durable.
 */
import { basename, dirname } from 'node:path'
import type { Disk, DiskFile } from '../../src/journal/disk.ts'
import { diskError } from './disk.ts'
import type { Operation } from './disk.ts'

/** A write, or a truncation to `at` when there are no bytes. */
interface Change {
  /** Counts up over the whole disk. */
  order: number
  at: number
  bytes?: Buffer
}

interface Inode {
  content: Buffer
  durable: Buffer
  pending: Change[]
  /** Of a sync that failed: readable, perhaps on the disk, and never made durable any more. */
  doubtful: Change[]
}

/** Names set or removed in one go: a rename is both or neither. */
interface NameChange {
  order: number
  names: { name: string; inode?: Inode }[]
}

interface Folder {
  now: Map<string, Inode>
  durable: Map<string, Inode>
  pending: NameChange[]
}

/** The disk as it is at one moment; it does not change with the disk. */
export interface Frozen {
  folders: { path: string; durable: Map<string, Inode>; pending: NameChange[] }[]
  files: Map<Inode, { durable: Buffer; pending: Change[] }>
}

/** What of the unsynced is on the disk after a power cut. */
export interface Survival {
  name(change: NameChange): boolean
  /** The bytes of a file, from what was synced and what was done since. */
  content(durable: Buffer, pending: Change[]): Buffer
}

export interface Fault {
  /** Of operations that change something, or of those that only read. */
  of: 'changes' | 'reads'
  /** How many of them go well before it. */
  after: number
  code: string
  /** Once, or at every such operation from then on. */
  forever: boolean
  /** Of a failing write so many bytes are written all the same. */
  short?: number
}

export class SimulatedDisk implements Disk {
  readonly #folders = new Map<string, Folder>()
  #order = 0
  #changes = 0
  #reads = 0
  /** Called ahead of every operation that changes something. */
  before: (op: Operation, path: string) => void = () => undefined
  fault: Fault | undefined
  /** For a disk that lies: which syncs do nothing. */
  lazy: 'bytes' | 'names' | undefined
  /** Most bytes that fit, in all files together. */
  capacity = Infinity

  /** Operations that changed something, or would have. */
  get changes(): number {
    return this.#changes
  }

  get reads(): number {
    return this.#reads
  }

  get used(): number {
    let used = 0
    for (const { now } of this.#folders.values()) for (const inode of now.values()) used += inode.content.length
    return used
  }

  freeze(): Frozen {
    const files: Frozen['files'] = new Map()
    const keep = (inode: Inode | undefined): void => {
      if (inode) files.set(inode, { durable: inode.durable, pending: [...inode.doubtful, ...inode.pending] })
    }
    const folders = [...this.#folders].map(([path, folder]) => {
      for (const inode of folder.durable.values()) keep(inode)
      for (const { names } of folder.pending) for (const { inode } of names) keep(inode)
      return { path, durable: new Map(folder.durable), pending: [...folder.pending] }
    })
    return { folders, files }
  }

  /** The disk that comes up after a power cut at that moment. */
  static after({ folders, files }: Frozen, survival: Survival): SimulatedDisk {
    const disk = new SimulatedDisk()
    const made = new Map<Inode, Inode>()
    for (const { path, durable, pending } of folders) {
      const names = new Map(durable)
      for (const change of pending) if (survival.name(change)) applyNames(names, change)
      const now = new Map<string, Inode>()
      for (const [name, inode] of names) {
        const was = files.get(inode) ?? { durable: inode.durable, pending: [] }
        const content = survival.content(was.durable, was.pending)
        const fresh = made.get(inode) ?? { content, durable: content, pending: [], doubtful: [] }
        made.set(inode, fresh)
        now.set(name, fresh)
      }
      disk.#folders.set(path, { now, durable: new Map(now), pending: [] })
    }
    return disk
  }

  /** Names and sizes, for telling states apart. */
  *entries(): Generator<{ path: string; content: Buffer }> {
    for (const [path, { now }] of this.#folders)
      for (const [name, { content }] of now) yield { path: `${path}/${name}`, content }
  }

  async open(path: string, mode: 'create' | 'write' | 'read'): Promise<DiskFile> {
    if (mode === 'create') await this.#change('create', path)
    const folder = this.#folder(path)
    const found = folder.now.get(basename(path))
    if (mode === 'create') {
      if (found) throw diskError('EEXIST')
      const inode: Inode = { content: NOTHING, durable: NOTHING, pending: [], doubtful: [] }
      this.#name(folder, [{ name: basename(path), inode }])
      return this.#file(path, inode)
    }
    if (!found) throw diskError('ENOENT')
    await this.#read()
    return this.#file(path, found)
  }

  mkdir(path: string): Promise<void> {
    if (!this.#folders.has(path)) this.#folders.set(path, { now: new Map(), durable: new Map(), pending: [] })
    return Promise.resolve()
  }

  async list(path: string): Promise<string[]> {
    await this.#read()
    return [...this.#folder(`${path}/.`).now.keys()]
  }

  async readFile(path: string): Promise<Buffer> {
    await this.#read()
    const found = this.#folder(path).now.get(basename(path))
    if (!found) throw diskError('ENOENT')
    return found.content
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#change('rename', to)
    const folder = this.#folder(from)
    const inode = folder.now.get(basename(from))
    if (!inode) throw diskError('ENOENT')
    this.#name(folder, [{ name: basename(from) }, { name: basename(to), inode }])
  }

  async remove(path: string): Promise<void> {
    await this.#change('remove', path)
    const folder = this.#folder(path)
    if (folder.now.has(basename(path))) this.#name(folder, [{ name: basename(path) }])
  }

  async syncFolder(path: string): Promise<void> {
    await this.#change('syncFolder', path)
    if (this.lazy === 'names') return
    const folder = this.#folder(`${path}/.`)
    folder.durable = new Map(folder.now)
    folder.pending = []
  }

  #file(path: string, inode: Inode): DiskFile {
    return {
      write: async (bytes, position) => {
        const short = await this.#change('write', path, bytes.length)
        const room = this.capacity - this.used + Math.max(0, inode.content.length - position)
        const fits = Math.min(bytes.length, room, short)
        if (fits > 0)
          this.#alter(inode, { order: ++this.#order, at: position, bytes: Buffer.from(bytes.subarray(0, fits)) })
        if (fits < bytes.length) throw diskError(short < bytes.length ? (this.fault?.code ?? 'EIO') : 'ENOSPC')
      },
      read: async (position, length) => {
        await this.#read()
        return Buffer.from(inode.content.subarray(position, position + length))
      },
      size: () => Promise.resolve(inode.content.length),
      truncate: async (size) => {
        await this.#change('truncate', path)
        this.#alter(inode, { order: ++this.#order, at: size })
      },
      datasync: async () => {
        try {
          await this.#change('datasync', path)
        } catch (error) {
          // The kernel has given up on these pages: they are read as they were written, and never written again.
          inode.doubtful.push(...inode.pending.splice(0))
          throw error
        }
        if (this.lazy === 'bytes') return
        for (const change of inode.pending) inode.durable = altered(inode.durable, change)
        inode.pending = []
      },
      close: () => Promise.resolve(),
    }
  }

  #alter(inode: Inode, change: Change): void {
    inode.content = altered(inode.content, change)
    inode.pending.push(change)
  }

  #name(folder: Folder, names: NameChange['names']): void {
    const change = { order: ++this.#order, names }
    applyNames(folder.now, change)
    folder.pending.push(change)
  }

  #folder(path: string): Folder {
    const folder = this.#folders.get(dirname(path))
    if (!folder) throw diskError('ENOENT')
    return folder
  }

  /** Throws when it is its turn to fail. Returns how many bytes of a write get through. */
  async #change(op: Operation, path: string, length = 0): Promise<number> {
    // Later, as a real disk would: whoever does not wait for it is found out.
    await Promise.resolve()
    this.before(op, path)
    const nth = this.#changes++
    if (!this.#fails('changes', nth)) return length
    if (op === 'write' && this.fault?.short !== undefined) return Math.min(this.fault.short, length - 1)
    throw diskError(this.fault?.code ?? '')
  }

  async #read(): Promise<void> {
    await Promise.resolve()
    if (this.#fails('reads', this.#reads++)) throw diskError(this.fault?.code ?? '')
  }

  #fails(of: Fault['of'], nth: number): boolean {
    const { fault } = this
    return fault?.of === of && (nth === fault.after || (nth > fault.after && fault.forever))
  }
}

const NOTHING = Buffer.alloc(0)

function applyNames(names: Map<string, Inode>, change: NameChange): void {
  for (const { name, inode } of change.names) {
    if (inode) names.set(name, inode)
    else names.delete(name)
  }
}

/** Buffers are never changed, so that what was frozen stays as it is. */
export function altered(content: Buffer, { at, bytes }: Change): Buffer {
  if (!bytes)
    return content.length <= at ? Buffer.concat([content, Buffer.alloc(at - content.length)]) : content.subarray(0, at)
  const grown = Buffer.alloc(Math.max(content.length, at + bytes.length))
  content.copy(grown)
  bytes.copy(grown, at)
  return grown
}

export type { Change, NameChange }
