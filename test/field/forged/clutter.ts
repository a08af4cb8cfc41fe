/** What else stands in a state folder that others can write: notes about processes, orders, reports, links, FIFOs, folders, files of others. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Random } from '../../../src/core/random.ts'
import { forgeFile } from './draw.ts'
import { hostileTexts } from './words.ts'
import type { Bait } from './words.ts'

/** A user that owns nothing here. */
const NOBODY = 65_534

/** One to three of them. Returns what was done. */
export function clutter(stateDir: string, run: string, random: Random, bait: Bait): string[] {
  const done: string[] = []
  for (let n = 1 + random.int(3); n > 0; n--) {
    const [what, make] = random.pick(Object.entries(KINDS)) ?? []
    if (what !== undefined && make) done.push(`${what} ${make(stateDir, run, random, bait)}`)
  }
  return done
}

type Make = (stateDir: string, run: string, random: Random, bait: Bait) => string

const KINDS: Record<string, Make> = {
  note(stateDir, run, random, bait) {
    const { pid, start } = bait.victim
    const control =
      random.pick([String(bait.trap), `127.0.0.1:${bait.trap}`, join(stateDir, 'control.sock'), '\0chaos', 'x']) ?? ''
    const note = {
      ...{
        pid,
        start_time: random.pick([start, '', '1']) ?? '',
        command: random.pick(['daemon', 'run', '\u001b[2J']) ?? '',
      },
      ...{ started_at: '2026-11-25T19:20:54.518Z', workers: [{ pid, start_time: start, run }], control },
    }
    const text = random.int(2) === 0 ? JSON.stringify(note) : forgeFile(note, random, bait)
    return written(join(stateDir, 'daemon.json'), text)
  },
  orders(stateDir, _run, random, bait) {
    const since = '2026-11-25T19:20:54.518Z'
    const orders = {
      frozen: { since, reason: random.pick(hostileTexts(bait)) ?? '' },
      disabled: { [random.pick(hostileTexts(bait)) ?? '']: { since, until: '2099-01-01T00:00:00.000Z' } },
      trusted: [{ endpoint: bait.url, identity: { id: 'x' }, since }],
    }
    return written(
      join(stateDir, 'orders.json'),
      random.int(2) === 0 ? JSON.stringify(orders) : forgeFile(orders, random, bait),
    )
  },
  report(stateDir, run, random, bait) {
    const report = {
      ...{ run, experiment: 'x', target: 'database', endpoint: bait.url, seed: 's', outcome: 'failed', reason: 'x' },
      ...{
        recovered: true,
        started_at: '2026-11-25T19:20:54.518Z',
        finished_at: '2026-11-25T19:20:55.518Z',
        soak_ms: 1,
      },
      ...{ notes: [], exit_code: 4, residue: [{ step: 1, resource: 'x', describe: 'x', error: 'x' }] },
      steps: [{ step: 1, skill: 'db.insert_load', resource: 'x', describe: 'x', state: 'applied' }],
    }
    return written(join(stateDir, 'history', `${run}.json`), forgeFile(report, random, bait))
  },
  other(stateDir, run, random) {
    // A link, FIFO, device or folder in place of a file, or of a folder.
    const name = random.pick(PLACES(run)) ?? ''
    const path = join(stateDir, name)
    const what = random.pick(['link', 'fifo', 'folder', 'device', 'dangling', 'sparse']) ?? ''
    try {
      rmSync(path, { recursive: true, force: true })
    } catch {
      return `nothing at ${name}`
    }
    if (!existsSync(dirname(path))) return `nothing at ${name}`
    if (what === 'link') symlinkSync('/etc/passwd', path)
    else if (what === 'device') symlinkSync('/dev/zero', path)
    else if (what === 'dangling') symlinkSync(join(stateDir, 'nowhere'), path)
    else if (what === 'fifo') spawnSync('mkfifo', [path])
    else if (what === 'folder') mkdirSync(path)
    else {
      writeFileSync(path, '', { mode: 0o600 })
      truncateSync(path, 3 * 2 ** 30)
    }
    return `${what} at ${name}`
  },
  owner(stateDir, run, random) {
    // Only root gives files away; everybody else leaves them open instead.
    const name = random.pick([...PLACES(run), '']) ?? ''
    const path = join(stateDir, name)
    try {
      if (lstatSync(path).isSymbolicLink()) return `nothing at ${name}`
      if (process.geteuid?.() === 0) chownSync(path, NOBODY, NOBODY)
      else chmodSync(path, 0o777)
    } catch {
      return `nothing at ${name}`
    }
    return `of another user: ${name === '' ? 'the folder' : name}`
  },
}

const PLACES = (run: string): string[] => [
  ...['daemon.json', 'install', 'orders.json', 'lock', 'ballast', 'slots', 'journal', 'secrets', 'history'],
  ...[
    join('journal', `${run}.jsonl`),
    join('journal', `${run}.2.jsonl`),
    join('secrets', run),
    join('history', `${run}.json`),
  ],
]

function written(path: string, text: string): string {
  try {
    rmSync(path, { recursive: true, force: true })
    writeFileSync(path, text, { mode: 0o600 })
  } catch {
    return 'nowhere'
  }
  return text.slice(0, 300)
}
