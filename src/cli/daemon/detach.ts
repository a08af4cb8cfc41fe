/** `chaos daemon --detach`: the daemon goes on in a session of its own; the command returns when it is ready, or with its error. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync } from 'node:fs'
import { devNull } from 'node:os'
import { resolve } from 'node:path'
import { CodedError, messageOf } from '../../core/errors.ts'
import { json } from '../context.ts'
import type { Context } from '../context.ts'
import { openLog } from './log-file.ts'

export interface DetachOptions {
  config: string
  stateDir: string
  pidFile?: string
  logFile?: string
  json?: boolean
  pretty?: boolean
}

/** What the daemon tells the command that started it, until it is ready. */
type Told = { type: 'said'; text: string } | { type: 'ready' }

/** Resolves with 0 when the daemon is ready, else with its exit code. */
export async function detach(context: Context, options: DetachOptions): Promise<number> {
  const child = start(context, options)
  // It is in a session of its own: Ctrl-C does not reach it by itself.
  const forward = (name: NodeJS.Signals): void => void child.kill(name)
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, forward)
  try {
    const end = await readyOrOver(child, (text) => context.err(text))
    if (end !== 'ready') return end
  } finally {
    for (const name of names) process.off(name, forward)
  }
  const { pid } = child
  child.disconnect()
  child.unref()
  context.out(
    options.json === true
      ? json({ pid, state_dir: options.stateDir, pid_file: options.pidFile ?? null, log_file: options.logFile ?? null })
      : `chaos daemon is ready (pid ${pid})\n`,
  )
  return 0
}

/** The daemon's side: runs it, and passes on what it says and how it fails. Its parent may be gone. */
export async function detached(
  context: Context,
  work: (context: Context, ready: () => void) => Promise<number>,
): Promise<number> {
  const tell = (told: Told): Promise<void> =>
    new Promise((done) => (process.connected && process.send ? process.send(told, () => done()) : done()))
  const err = (text: string): void => {
    context.err(text)
    void tell({ type: 'said', text })
  }
  try {
    return await work({ ...context, err }, () => void tell({ type: 'ready' }))
  } catch (error) {
    await tell({ type: 'said', text: `${messageOf(error)}\n` })
    throw error
  }
}

function start(context: Context, { config, stateDir, pidFile, logFile, json, pretty }: DetachOptions): ChildProcess {
  const log = openLog(logFile ?? devNull)
  try {
    const args = ['daemon', resolve(config), '--detached', '--state-dir', stateDir]
    if (pidFile !== undefined) args.push('--pid-file', pidFile)
    if (logFile !== undefined) args.push('--log-file', logFile)
    if (json === true) args.push('--json')
    if (pretty === true) args.push('--pretty')
    return spawn(process.execPath, [...process.execArgv, context.main, ...args], {
      detached: true,
      // So that no file system is kept busy by where it happened to be started.
      cwd: '/',
      env: context.env,
      stdio: ['ignore', log, log, 'ipc'],
    })
  } finally {
    closeSync(log)
  }
}

function readyOrOver(child: ChildProcess, say: (text: string) => void): Promise<'ready' | number> {
  return new Promise((resolve, reject) => {
    child.on('message', (told: Told) => {
      if (told.type === 'said') say(told.text)
      else resolve('ready')
    })
    child.on('error', (error) =>
      reject(new CodedError('WORKER_LOST', `cannot start the daemon: ${error.message}`, { cause: error })),
    )
    // Not `exit`: what it said last must have arrived.
    child.on('close', (code, signal) => {
      if (signal) say(`the daemon was ended by ${signal} before it was ready\n`)
      resolve(code ?? 1)
    })
  })
}
