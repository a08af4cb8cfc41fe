/**
 * A process that holds a state folder's lock: `lock-child.ts STATE_DIR [orphan]`. It says `ready`, waits for a line,
 * tries, says what came of it as one line of JSON, and stays until its input ends. With `orphan` it also starts a
 * process that inherits the lock, as a worker does.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { systemClock } from '../../src/core/clock.ts'
import type { CodedError } from '../../src/core/errors.ts'
import { lockState } from '../../src/supervisor/lock.ts'

const [stateDir = '', orphan] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
console.log('ready')
await lines.next()
try {
  const lock = await lockState(stateDir, 'daemon', systemClock, () => undefined)
  let worker = 0
  if (orphan === 'orphan') {
    const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', lock.fd], detached: true })
    worker = child.pid ?? 0
    await lock.addWorker(worker, 'r1')
  }
  console.log(JSON.stringify({ won: true, pid: process.pid, worker }))
  await lines.next()
  await lock.release()
} catch (error) {
  const { code, message } = error as CodedError
  console.log(JSON.stringify({ won: false, code, message }))
}
process.exit(0)
