/** The steps that make a bad state: each changes a state folder that nobody uses, or leaves something beside it. */
import { execFileSync, spawn } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { decodeLine, encodeLine } from '../../src/journal/format.ts'
import type { Chaos } from '../e2e/chaos.ts'
import { MAIN, signal } from '../e2e/chaos.ts'
import { planned, started } from '../journal/helpers.ts'

/** The user that owns nothing. */
export const NOBODY = 65534

export interface Making {
  chaos: Chaos
  /** The open run's id: known beforehand, or that of the run that was killed. */
  run: string
  /** A configuration that reaches the database, and holds its fault until it is killed. */
  lasting: string
  /** `CONFIG`, `RUN`, … in a text, filled in. */
  fill(text: string): string
  /** Called at the end of the row, last one first. */
  after(undo: () => void | Promise<void>): void
}

type Step = (making: Making, given: never) => void | Promise<void>
type Map<T> = Record<string, T>

export async function make(making: Making, steps: readonly Map<unknown>[]): Promise<void> {
  for (const [name, given] of steps.flatMap((step) => Object.entries(step))) {
    const step = STEPS[name]
    if (!step) throw new Error(`no step ${name}; there is ${Object.keys(STEPS).join(', ')}`)
    await step(making, given as never)
  }
}

const STEPS: Record<string, Step> = {
  file: (making, files: Map<string>) => each(making, files, (path, text) => write(path, making.fill(text))),
  folder: (making, path: string) => void mkdirSync(pathOf(making, path), { recursive: true }),
  link: (making, links: Map<string>) => each(making, links, (path, target) => symlinkSync(making.fill(target), path)),
  mode: (making, modes: Map<string>) => each(making, modes, (path, mode) => chmodSync(path, Number.parseInt(mode, 8))),
  owner: (making, owners: Map<string | number>) =>
    each(making, owners, (path, owner) => chownSync(path, uidOf(owner), uidOf(owner))),
  'owner-all': ({ chaos }, owner: string) =>
    void execFileSync('chown', ['-R', String(uidOf(owner)), chaos.state, chaos.dir]),
  /** A FIFO that nobody writes into: whoever opens it to read waits for ever. */
  fifo: (making, path: string) => {
    mkdirSync(dirname(pathOf(making, path)), { recursive: true })
    execFileSync('mkfifo', [pathOf(making, path)])
  },
  group: (making, groups: Map<string | number>) =>
    each(making, groups, (path, group) => chownSync(path, lstatSync(path).uid, uidOf(group))),
  'link-owner': ({ chaos }, owner: number) => lchownSync(chaos.state, owner, owner),
  /** The state folder, in one that everybody may write. */
  'open-above': ({ chaos }) => chmodSync(chaos.dir, 0o777),
  remove: (making, path: string) => rmSync(pathOf(making, path), { recursive: true }),
  append: (making, texts: Map<string>) => each(making, texts, (path, text) => appendFileSync(path, text)),
  copy: (making, copies: Map<string>) => each(making, copies, (from, to) => copyFileSync(from, pathOf(making, to))),

  /** The folder is somewhere else, and a symbolic link is where it was. */
  elsewhere({ chaos }, name: string) {
    renameSync(chaos.state, join(chaos.dir, name))
    symlinkSync(name, chaos.state)
  },

  /** A run whose process died; its target answers nobody. */
  'open-run'(making, { steps = 1, ...start }: { steps?: number }) {
    const { run } = making
    const where = { run, experiment: 'never run', target: 'database', endpoint: 'postgres://127.0.0.1:1/staging' }
    const records = [started({ ...where, ...start }), ...Array.from({ length: steps }, (_, i) => planned(i + 1))]
    write(pathOf(making, 'install'), 'abcdef\n')
    const at = '2026-01-01T00:00:00.000Z'
    write(pathOf(making, `journal/${run}.jsonl`), linesOf(records.map((record) => ({ ...record, at }))))
    const secret = { connection_url: 'postgres://nobody:hunter2-canary@127.0.0.1:1/staging' }
    write(pathOf(making, `secrets/${run}`), JSON.stringify(secret))
  },

  /** Whatever the records are, their lines verify. */
  records: (making, journals: Map<unknown[]>) =>
    each(making, journals, (path, records) =>
      write(path, linesOf(JSON.parse(making.fill(JSON.stringify(records))) as unknown[])),
    ),
  'damage-line': (making, lines: Map<number>) =>
    each(making, lines, (path, line) => {
      const all = readFileSync(path, 'latin1').split(/(?<=\n)/)
      writeFileSync(path, all.with(line - 1, 'garbage\n').join(''), 'latin1')
    }),

  /** Whoever wrote the note says that a process is its worker which has nothing to do with us, and holds the lock. */
  'forged-note'(making) {
    const pid = stranger(making)
    const start_time = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[19]
    const note = { pid: 2 ** 22 + 1, start_time: '1', command: 'daemon', started_at: '2026-01-01T00:00:00.000Z' }
    const workers = [{ pid, start_time, run: making.run }]
    write(pathOf(making, 'daemon.json'), JSON.stringify({ ...note, workers }))
    write(pathOf(making, 'lock'), '')
    const holder = spawn('flock', [pathOf(making, 'lock'), 'sleep', '600'], { stdio: 'ignore', detached: true })
    making.after(() => void process.kill(-(holder.pid ?? 0), 'SIGKILL'))
  },

  /** Its daemon and its worker are dead, and their pids those of a program that lives. */
  'stale-note'(making) {
    const pid = stranger(making)
    const dead = { pid, start_time: '1' }
    const note = {
      ...dead,
      command: 'daemon',
      started_at: '2026-01-01T00:00:00.000Z',
      control: '/nowhere/control.sock',
    }
    write(pathOf(making, 'daemon.json'), JSON.stringify({ ...note, workers: [{ ...dead, run: making.run }] }))
  },
  stranger: (making, pidFile: string) => write(pathOf(making, pidFile), `${stranger(making)}\n`),

  async daemon(making, config: string) {
    const daemon = making.chaos.start(['daemon', making.fill(config), '--json'])
    making.after(async () => {
      daemon.child.kill('SIGTERM')
      await daemon.exit
    })
    await daemon.until((event) => event.type === 'daemon.ready')
  },

  /** The note is that of a daemon of another state folder, which goes on. */
  async 'note-of-another'(making, config: string) {
    const { chaos, after, fill } = making
    const other = join(chaos.dir, 'other')
    const daemon = chaos.start(['daemon', fill(config), '--json'], { CHAOS_STATE_DIR: other })
    after(async () => {
      if (daemon.child.exitCode !== null || !daemon.child.kill('SIGTERM')) throw new Error('another daemon was ended')
      await daemon.exit
    })
    await daemon.until((event) => event.type === 'daemon.ready')
    write(pathOf(making, 'install'), 'abcdef\n')
    write(pathOf(making, 'lock'), '')
    write(pathOf(making, 'daemon.json'), readFileSync(join(other, 'daemon.json')))
  },

  /** It lives and obeys nothing. */
  async 'stopped-daemon'(making, config: string) {
    const daemon = making.chaos.start(['daemon', making.fill(config), '--json'])
    making.after(async () => {
      daemon.child.kill('SIGCONT')
      daemon.child.kill('SIGTERM')
      await daemon.exit
    })
    await daemon.until((event) => event.type === 'daemon.ready')
    daemon.child.kill('SIGSTOP')
  },

  /** As in another container that shares the state folder; its pid is that of something else here, or of nothing. */
  async 'daemon-elsewhere'({ chaos, after, fill }, config: string) {
    const daemon = spawn(
      'unshare',
      ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, MAIN, 'daemon', fill(config), '--json'],
      { env: { ...process.env, CHAOS_STATE_DIR: chaos.state }, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const over = new Promise((resolve) => daemon.on('close', resolve))
    after(async () => {
      daemon.kill('SIGKILL')
      await over
    })
    await new Promise<void>((resolve, reject) => {
      let out = ''
      daemon.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text
        if (out.includes('"daemon.ready"')) resolve()
      })
      void over.then(() => reject(new Error(`the daemon ended: ${out}`)))
    })
  },

  tmpfs({ chaos, after }, options: string) {
    mkdirSync(chaos.state)
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', chaos.state])
    after(() => void execFileSync('umount', [chaos.state]))
  },

  /** A run that has changed the database; then all its processes die. */
  async killed(making) {
    const { chaos, lasting } = making
    const run = chaos.start(['run', lasting, '--json'])
    await run.until((event) => event.type === 'run.phase' && event.phase === 'soak')
    for (const { pid } of chaos.holder()?.workers ?? []) signal(pid, 'SIGKILL')
    run.child.kill('SIGKILL')
    await run.exit
    making.run = readdirSync(join(chaos.state, 'journal'))[0]!.replace('.jsonl', '')
  },
  skill: (making, skill: string) => rewrite(making, (record) => ('skill' in record ? { ...record, skill } : record)),
  data: (making, data: object) => rewrite(making, (record) => ('data' in record ? { ...record, data } : record)),
  'rewrite-times': (making, year: string) =>
    rewrite(making, (record) => JSON.parse(JSON.stringify(record).replaceAll(/"\d{4}(-\d\d-\d\dT)/g, `"${year}$1`))),
}

export function pathOf({ chaos, run }: Making, path: string): string {
  return join(chaos.state, path.replaceAll('RUN', run))
}

function each<T>(making: Making, entries: Map<T>, work: (path: string, value: T) => void): void {
  for (const [path, value] of Object.entries(entries)) work(pathOf(making, path), value)
}

function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content, { mode: 0o600 })
}

function linesOf(records: unknown[]): Buffer {
  let prev = '00000000'
  return Buffer.concat(
    records.map((record, i) => {
      const { bytes, crc } = encodeLine(i + 1, prev, JSON.stringify(record))
      prev = crc
      return bytes
    }),
  )
}

function rewrite(making: Making, change: (record: object) => unknown): void {
  const path = pathOf(making, 'journal/RUN.jsonl')
  const lines = readFileSync(path).toString('latin1').trimEnd().split('\n')
  const records = lines.map((line) => JSON.parse(decodeLine(Buffer.from(line, 'latin1'))!.json) as object)
  writeFileSync(path, linesOf(records.map(change)))
}

/** A process that has nothing to do with us, and must outlive the row. */
function stranger({ after }: Making): number {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  after(() => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('a stranger was ended')
    child.kill('SIGKILL')
  })
  return child.pid ?? 0
}

function uidOf(owner: string | number): number {
  return owner === 'nobody' ? NOBODY : Number(owner)
}

/** Every file, folder and link of the state folder, with what is in it. A folder that is not there is empty. */
export function picture(state: string): Map<string> {
  const seen: Map<string> = {}
  const look = (path: string, name: string): void => {
    const info = lstatSync(path, { throwIfNoEntry: false })
    if (!info) return
    if (info.isSymbolicLink()) seen[name] = 'link'
    else if (info.isFile()) seen[name] = readFileSync(path).toString('latin1')
    else if (!info.isDirectory()) seen[name] = 'other'
    else {
      seen[name] = 'folder'
      // What begins with a dot is being written, or is left of a write that was cut off.
      for (const entry of readdirSync(path).filter((entry) => !entry.startsWith('.')))
        look(join(path, entry), name === '.' ? entry : `${name}/${entry}`)
    }
  }
  look(state, '.')
  return seen
}
