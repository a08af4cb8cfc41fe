/** Recovery: undoes what a crash left, with the same rollback, after making sure that it is the same target. */
import type { Clock } from '../core/clock.ts'
import { messageOf, TargetError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { Report } from '../core/report.ts'
import { identityMismatch } from '../core/target.ts'
import type { Agent, Target } from '../core/target.ts'
import { FileJournal, readJournal } from '../journal/file-journal.ts'
import type { RunStarted } from '../journal/journal.ts'
import type { StateDir } from '../journal/state-dir.ts'
import { endRun } from './end.ts'

export interface RecoverInput {
  run: string
  state: StateDir
  target: Target
  /** Tried in this order: the current configuration's (a rotated password), then the one the run was started with. */
  targetConfigs: unknown[]
  clock: Clock
  signal: AbortSignal
  noProgressMs: number
  emit(event: EventBody): void
}

/** Undoes one open run. Throws when the target cannot be reached or is another one: then everything stays as it is. */
export async function recoverRun(input: RecoverInput): Promise<Report> {
  const { run, state, clock, emit } = input
  const file = state.journalFile(run)
  const before = await readJournal(file)
  if (!before.started) throw new TargetError('TARGET_FAILED', `the journal ${file} has no start: nothing was applied`)
  const agent = await connectSame(before.started, input)
  try {
    const journal = await FileJournal.resume(file)
    const outcome = before.undo?.outcome ?? 'aborted'
    const reason = before.undo?.reason ?? 'its process ended before the soak was over'
    return await endRun({
      started: before.started,
      state,
      journal,
      agent,
      clock,
      outcome,
      ...(outcome === 'completed' ? {} : { reason }),
      held: [],
      noProgressMs: input.noProgressMs,
      recovered: true,
      emit,
    })
  } finally {
    await agent.close().catch(() => undefined)
  }
}

/** A connection to the very system the run was started on, by its identity; names and addresses prove nothing. */
async function connectSame(
  started: RunStarted,
  { target, targetConfigs, run, clock, signal, emit }: RecoverInput,
): Promise<Agent> {
  emit({ type: 'run.phase', phase: 'connect', detail: started.endpoint })
  const errors: unknown[] = []
  for (const raw of targetConfigs) {
    const parsed = target.config.safeParse(raw)
    if (!parsed.success) {
      errors.push(
        new TargetError('TARGET_FAILED', `its configuration is not one of this version: ${parsed.error.message}`),
      )
      continue
    }
    try {
      const agent = await target.connect(parsed.data, { install: started.install, run, clock, signal })
      const differing = identityMismatch(started.identity.parts, (await agent.identity(signal)).parts)
      if (differing.length === 0) return agent
      await agent.close()
      const { key } = target.endpoint(parsed.data)
      errors.push(
        new TargetError(
          'IDENTITY_MISMATCH',
          `${key} is not the system that run ${run} changed: ${differing.join(', ')} differ`,
        ),
      )
    } catch (error) {
      errors.push(error)
    }
  }
  const mismatch = errors.find((e): e is TargetError => e instanceof TargetError && e.code === 'IDENTITY_MISMATCH')
  if (mismatch) throw mismatch
  const texts = [...new Set(errors.map(messageOf))]
  throw new TargetError('TARGET_UNREACHABLE', texts.join('; ') || `no configuration for run ${run} is left`)
}
