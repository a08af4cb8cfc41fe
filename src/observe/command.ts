/** One call of a command, with the notification as JSON on its standard input. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { CommandSink } from '../core/notify.ts'
import { atMost } from '../core/within.ts'
import type { Attempt, Deliver } from './delivery.ts'
import { toldAs } from './message.ts'

const TIMEOUT_MS = 30_000
/** Of what it says on standard error, so much of the end is told. */
const LONGEST_WORDS = 200

export function command({ command: argv }: CommandSink, env: NodeJS.ProcessEnv, clock: Clock): Deliver {
  const [program = '', ...args] = argv
  return async (notification, signal) => {
    if (signal.aborted) return failed(messageOf(signal.reason))
    const child = spawn(program, args, {
      // A group of its own, so that what it has started ends with it, and Ctrl-C on our terminal is not for it.
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
      env: minimal(env),
    })
    const end = watch(child)
    child.stdin.end(`${JSON.stringify(toldAs(notification))}\n`)
    const why = `it did not end in ${TIMEOUT_MS / 1_000} s`
    const gaveUp = (reason: unknown): Attempt => failed(messageOf(reason))
    const attempt = await atMost({ ms: TIMEOUT_MS, clock, why }, () => end, gaveUp, signal)
    if (child.exitCode === null && child.signalCode === null) killGroup(child)
    return attempt
  }
}

function watch(child: ChildProcess): Promise<Attempt> {
  let words = ''
  // A command that writes without an end is read, so that it does not wait for us, and forgotten.
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-LONGEST_WORDS)))
  // One that ends without reading its input has done its work all the same.
  child.stdin?.on('error', () => undefined)
  return new Promise((resolve) => {
    // Another attempt would not find it either; a machine without room for a process may have some later.
    child.on('error', (error) =>
      resolve({
        ...failed(messageOf(error)),
        final: 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES'),
      }),
    )
    // Not `close`: what it has left behind in the background may hold its standard error open.
    child.on('exit', (code, signal) => {
      child.stderr?.destroy()
      const said = words.trim() === '' ? '' : `: ${words.trim().split('\n').at(-1) ?? ''}`
      if (code === 0) resolve({ delivered: true })
      else resolve(failed(`it ended with ${signal ?? `exit code ${code}`}${said}`))
    })
  })
}

function failed(reason: string): Attempt & { delivered: false } {
  return { delivered: false, final: false, reason }
}

/** The configuration's secrets may be in our environment: they are none of its business. */
function minimal(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = ['HOME', 'LANG', 'LC_ALL', 'TZ', 'USER', 'LOGNAME', 'TMPDIR'].flatMap((name) =>
    env[name] === undefined ? [] : [[name, env[name]] as const],
  )
  return { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...Object.fromEntries(kept) }
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}
