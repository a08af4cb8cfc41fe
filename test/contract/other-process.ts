/** A process of its own that plans and applies a skill of the registry, and can be killed as a worker is. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Journaled } from './rig.ts'

/** Starting, connecting and one plan or apply. */
const ANSWER_MS = 120_000

export interface Job {
  skill: string
  params: unknown
  /** The target_config. */
  config: unknown
  run: string
}

export type Answer = { planned: string } | { applied: Journaled[] } | { error: string }

export interface OtherProcess {
  /** The planned steps as JSON, indented by one. */
  planned: string
  /** Applies every step; resolves with the steps as its journal would have them. */
  apply(): Promise<Journaled[]>
  /** With SIGKILL; resolves when it is gone. Twice is once. */
  kill(): Promise<void>
}

/** Resolves when it has planned. */
export async function startOther(job: Job): Promise<OtherProcess> {
  const file = fileURLToPath(new URL('../fakes/skill-process.ts', import.meta.url))
  const child = fork(file, {
    execArgv: ['--import', './scripts/ts.mjs'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  try {
    const answer = await ask(child, job)
    if (!('planned' in answer)) throw new Error(JSON.stringify(answer))
    return {
      planned: answer.planned,
      async apply() {
        const done = await ask(child, 'apply')
        if (!('applied' in done)) throw new Error(JSON.stringify(done))
        return done.applied
      },
      kill,
    }
  } catch (error) {
    await kill()
    throw error
  }
}

/** Rejects when it ends without an answer, or gives none in time. */
async function ask(child: ChildProcess, message: Job | 'apply'): Promise<Answer> {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS)
  const ended = (): void => over.abort(new Error('the other process has ended'))
  child.once('exit', ended)
  try {
    const answered = once(child, 'message', { signal: over.signal })
    child.send(message)
    const [answer] = (await answered) as [Answer]
    if ('error' in answer) throw new Error(`in another process: ${answer.error}`)
    return answer
  } finally {
    clearTimeout(timer)
    child.off('exit', ended)
  }
}
