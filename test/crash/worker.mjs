/**
 * The real worker, killed at a chosen point: what `chaos` would start as `main.js worker`, with a hook around
 * every change of the disk and every call to the target. The hook is put in from here; the product has no way to.
 *
 * Beside the state folder: `kill.run` and `kill.recover` name the point where a job of that kind dies (used up by the
 * first one that reads it), `trace.run` and `trace.recover` are given every point it passed, `hit` the one it died at.
 * A recovery does not begin while `hold` is there.
 * Bundled into one file first (bundle.ts), so that hundreds can be started quickly.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { workerMain } from '../../src/supervisor/worker.ts'
import { nodeDisk } from '../../src/journal/disk.ts'
import { targets } from '../../src/targets/index.ts'
import { hookAgent, hookHttp, hookPostgres } from './seams.mjs'

/** Where the calls to a target are seen most finely; any other target is hooked around its agent. */
const SEAMS = { application: hookHttp, database: hookPostgres }

const passed = new Map()
let wanted
let trace

process.on('message', (message) => {
  if (message.type !== 'job') return
  const { kind, state_dir: state } = message.job
  const beside = (name) => join(dirname(state), `${name}.${kind}`)
  try {
    wanted = readFileSync(beside('kill'), 'utf8')
    rmSync(beside('kill'))
  } catch {
    wanted = undefined
  }
  trace = beside('trace')
  writeFileSync(trace, '')
  for (let waited = 0; kind === 'recover' && existsSync(join(dirname(state), 'hold')) && waited < HOLD_MS; waited += 10)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  hit = join(dirname(state), 'hit')
})
let hit
/** Longest wait for `hold` to go: less than a supervisor's patience with a silent worker. */
const HOLD_MS = 40_000

/** A point is known by its name and by how often it was passed before: both are the same in every process. */
function point(name) {
  const count = (passed.get(name) ?? 0) + 1
  passed.set(name, count)
  if (trace === undefined) return
  const here = `${name} #${count}`
  if (here !== wanted) return appendFileSync(trace, `${here}\n`)
  appendFileSync(hit, `${here}\n`)
  process.kill(process.pid, 'SIGKILL')
  // Not one step further, should the signal need a moment.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

hookDisk()
const coarse = targets.map((target) => {
  const fine = SEAMS[target.name]
  return fine ? target : hookAgent(target, point)
})
for (const hook of Object.values(SEAMS)) await hook(point)
await workerMain(coarse)
process.exit(0)

/** Around everything that changes the disk. Reads change nothing: dying there is dying after the change before. */
function hookDisk() {
  // Run ids differ from process to process; what a file is for does not.
  const kindOf = (path) =>
    path.includes('/journal') ? 'journal' : `${basename(dirname(path))}/${path.endsWith('.tmp') ? 'tmp' : 'file'}`
  const around = async (op, path, work) => {
    const name = `${kindOf(path)} ${op}`
    point(`${name}: before`)
    const result = await work()
    point(`${name}: after`)
    return result
  }
  const { open, rename, remove, syncFolder } = nodeDisk
  nodeDisk.open = async (path, mode) => {
    const file = mode === 'create' ? await around(mode, path, () => open(path, mode)) : await open(path, mode)
    if (mode === 'read') return file
    return {
      ...file,
      write: (bytes, position) =>
        around('write', path, async () => {
          if (wanted?.startsWith(`${kindOf(path)} write: torn`)) {
            // Dies with half of it written, if this is the one.
            const half = bytes.subarray(0, bytes.length >> 1)
            await file.write(half, position)
            point(`${kindOf(path)} write: torn`)
            return file.write(bytes.subarray(half.length), position + half.length)
          }
          point(`${kindOf(path)} write: torn`)
          return file.write(bytes, position)
        }),
      truncate: (size) => around('truncate', path, () => file.truncate(size)),
      datasync: () => around('datasync', path, () => file.datasync()),
    }
  }
  nodeDisk.rename = (from, to) => around('rename', to, () => rename(from, to))
  nodeDisk.remove = (path) => around('remove', path, () => remove(path))
  nodeDisk.syncFolder = (path) => around('sync folder', `${path}/`, () => syncFolder(path))
}
