/** `chaos status`: is it up, and is everything put back? Exit code 0 up and clean, 4 pending undo, 1 no daemon. */
import { basename } from 'node:path'
import { ERROR_CODES } from '../core/errors.ts'
import { isAlive, readHolder } from '../daemon/lock.ts'
import { pendingSteps } from '../journal/journal.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import { json, stateDirOf } from './context.ts'
import type { Context } from './context.ts'

const NO_DAEMON = 1

export async function status(context: Context, options: { stateDir?: string; json?: boolean }): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const state = await peekStateDir(stateDir)
  const note = await readHolder(stateDir)
  const holder = note && (await isAlive(note)) ? note : undefined
  const journals = (await state.journals()).filter((j) => j.started !== undefined || j.damage.length > 0)
  const workers = new Set<string>()
  for (const worker of note?.workers ?? []) if (await isAlive(worker)) workers.add(worker.run)
  const runs = journals.map((j) => ({
    run: basename(j.file, '.jsonl'),
    experiment: j.started?.experiment ?? '',
    endpoint: j.started?.endpoint ?? '',
    started_at: j.started?.at ?? '',
    steps_to_undo: pendingSteps(j).length,
    damaged: j.damage.length > 0,
  }))
  const running = runs.filter((r) => workers.has(r.run))
  const pending = runs.filter((r) => !workers.has(r.run) && (r.steps_to_undo > 0 || r.damaged))
  const last = await lastReport(state)
  const up = holder ? { command: holder.command, pid: holder.pid, started_at: holder.started_at } : null
  const exitCode = pending.length > 0 ? ERROR_CODES.RESIDUE : up ? 0 : NO_DAEMON
  if (options.json === true) {
    context.out(json({ up, state_dir: stateDir, running, pending, last, exit_code: exitCode }))
    return exitCode
  }
  context.out(up ? `chaos ${up.command} is up (pid ${up.pid}, since ${up.started_at})\n` : 'no daemon is up\n')
  for (const r of running) context.out(`running: ${r.run} (${r.experiment}) on ${r.endpoint}, since ${r.started_at}\n`)
  for (const r of pending)
    context.out(
      `not undone: ${r.run} (${r.experiment}) on ${r.endpoint}, ${r.steps_to_undo} steps; chaos recover undoes them\n`,
    )
  if (pending.length === 0) context.out('nothing is left to undo\n')
  if (last) context.out(`last run: ${last.run} (${last.experiment}) ${last.outcome}, residue ${last.residue.length}\n`)
  return exitCode
}

async function lastReport(state: Awaited<ReturnType<typeof peekStateDir>>): ReturnType<typeof state.report> {
  const run = (await state.reports()).at(-1)
  return run === undefined ? undefined : state.report(run)
}
