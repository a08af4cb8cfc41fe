/** `chaos recover`: undoes what a crash left, now. */
import { basename } from 'node:path'
import { CodedError, ConfigError, ERROR_CODES } from '../core/errors.ts'
import { worstExitCode } from '../core/report.ts'
import { pendingSteps } from '../journal/journal.ts'
import { findStateDir, peekStateDir } from '../journal/state-dir.ts'
import { ndjson } from '../observe/ndjson.ts'
import { progress } from '../observe/progress.ts'
import { harmless, scrubbed } from '../observe/scrub.ts'
import { json, stateDirOf } from './context.ts'
import type { Context } from './context.ts'
import { acceptLoss } from './accept-loss.ts'
import { storedSecrets } from './secrets.ts'
import { stopOnSignal, supervised } from './supervised.ts'

export interface RecoverOptions {
  stateDir?: string
  run?: string
  dryRun?: boolean
  acceptLoss?: boolean
  note?: string
  json?: boolean
}

/** Somebody is watching: an undo that waits for a lock may take longer than in the daemon's round. */
const NO_PROGRESS_MS = 60_000
/** After a signal: what is being undone is finished in this time, or left to the next start. */
const STOP_MS = 60_000

export async function recover(context: Context, options: RecoverOptions): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  refuseMeaningless(options)
  const open = await openRuns(stateDir)
  if (options.run !== undefined && !open.some((o) => o.run === options.run)) {
    const known = open.length === 0 ? 'nothing is to be recovered' : `there is ${open.map((o) => o.run).join(', ')}`
    throw new ConfigError(
      [{ file: 'recover', line: 0, column: 0, path: '--run', message: `no open run ${options.run}; ${known}` }],
      'USAGE',
    )
  }
  if (options.dryRun === true)
    return show(
      context,
      open.filter((o) => options.run === undefined || o.run === options.run),
      options,
    )
  if (open.length === 0) {
    // A kill between a run's secret and its journal leaves the secret: whoever holds the folder clears it away.
    if (await findStateDir(stateDir)) {
      const quiet = { command: 'recover', stateDir, experiments: [], emit: () => undefined }
      await supervised(context, quiet, ({ supervisor }) =>
        supervisor.recoverAll({ noProgressMs: NO_PROGRESS_MS }),
      ).catch((error: unknown) => {
        if (!(error instanceof CodedError && error.code === 'LOCKED')) throw error
      })
    }
    context.out(options.json === true ? json({ recovered: [], pending: [] }) : 'nothing to recover\n')
    return 0
  }
  const write = (text: string): void => context.err(text)
  const secrets = await storedSecrets(await context.targets(), await peekStateDir(stateDir))
  const emit = harmless(
    scrubbed(
      secrets,
      options.json === true ? ndjson(write) : progress({ write: (text) => context.out(text), tty: context.tty }),
    ),
  )
  return supervised(
    context,
    { command: 'recover', stateDir, experiments: [], emit },
    async ({ supervisor, state, signals }) => {
      const stopping = stopOnSignal(signals.signal, supervisor, STOP_MS)
      const reports = await supervisor.recoverAll({
        noProgressMs: NO_PROGRESS_MS,
        ...(options.run === undefined ? {} : { only: options.run }),
      })
      await stopping.done()
      if (options.acceptLoss === true && options.run !== undefined)
        return acceptLoss(context, state, { run: options.run, note: options.note ?? '' }, options.json === true)
      const pending = supervisor.blocked
      if (options.json === true) context.out(json({ recovered: reports, pending }))
      // What the experiment had come to is history; here only the undo counts.
      const journal = reports.filter((r) => r.exit_code === ERROR_CODES.JOURNAL_WRITE).map((r) => r.exit_code)
      return worstExitCode([...journal, pending.length > 0 ? ERROR_CODES.RESIDUE : 0])
    },
  )
}

function refuseMeaningless({ acceptLoss, run, dryRun, note }: RecoverOptions): void {
  const message =
    acceptLoss === true && run === undefined
      ? 'name the run whose loss is accepted: --accept-loss --run RUN'
      : acceptLoss === true && dryRun === true
        ? 'accepts nothing while --dry-run only shows'
        : acceptLoss !== true && note !== undefined
          ? 'goes with --accept-loss'
          : undefined
  if (message === undefined) return
  const path = acceptLoss === true ? '--accept-loss' : '--note'
  throw new ConfigError([{ file: 'recover', line: 0, column: 0, path, message }], 'USAGE')
}

interface OpenRun {
  run: string
  experiment: string
  endpoint: string
  started_at: string
  steps: { step: number; skill: string; resource: string; describe: string; state: string }[]
  damage: { offset: number; reason: string }[]
}

/** Read from the journals alone; nothing is changed, not even a torn tail. */
async function openRuns(stateDir: string): Promise<OpenRun[]> {
  const state = await peekStateDir(stateDir)
  return (await state.journals()).flatMap((journal) => {
    const { started, damage } = journal
    // A damaged start says neither where nor what; it is still something for a person to put right.
    if (!started && damage.length === 0) return []
    const steps = pendingSteps(journal)
    return [
      {
        run: basename(journal.file, '.jsonl'),
        experiment: started?.experiment ?? '',
        endpoint: started?.endpoint ?? '',
        started_at: started?.at ?? '',
        steps: steps
          .reverse()
          .map(({ step, skill, resource, describe, state }) => ({ step, skill, resource, describe, state })),
        damage,
      },
    ]
  })
}

function show(context: Context, open: OpenRun[], { json: asJson }: RecoverOptions): number {
  const pending = open.some((o) => o.steps.length > 0 || o.damage.length > 0)
  if (asJson === true) {
    context.out(json({ pending: open }))
    return pending ? ERROR_CODES.RESIDUE : 0
  }
  if (open.length === 0) context.out('nothing to recover\n')
  for (const o of open) {
    context.out(
      `run ${o.run} (${o.experiment}) on ${o.endpoint}, started ${o.started_at}: ${o.steps.length} steps to undo\n`,
    )
    for (const s of o.steps) context.out(`  ${s.step}. ${s.skill} ${s.describe} (${s.state})\n`)
    for (const d of o.damage) context.out(`  damaged at byte ${d.offset}: ${d.reason}\n`)
  }
  return pending ? ERROR_CODES.RESIDUE : 0
}
