/** What a daemon that cannot start does all the same: undoes what an earlier process left. */
import { harmless } from '../../core/events.ts'
import { peekStateDir } from '../../journal/state-dir.ts'
import { progress } from '../../observe/progress.ts'
import { scrubbed } from '../../observe/scrub.ts'
import type { Context } from '../context.ts'
import { storedSecrets } from '../secrets.ts'
import { supervised } from '../supervised.ts'

/** One target that hangs must not keep the command from ending. */
export const RECOVERY_MS = 30_000

export async function recoverOnly(context: Context, stateDir: string): Promise<void> {
  const state = await peekStateDir(stateDir)
  // Then the folder is not even made.
  if ((await state.runs.list()).length === 0) return
  const secrets = await storedSecrets(await context.targets(), state)
  const screen = { tty: false, env: context.env }
  const emit = harmless(scrubbed(secrets, progress({ write: (text) => context.err(text), screen })))
  await supervised(context, { command: 'daemon', stateDir, experiments: () => [], emit }, ({ supervisor }) =>
    supervisor.recoverAll({ noProgressMs: RECOVERY_MS }),
  )
}
