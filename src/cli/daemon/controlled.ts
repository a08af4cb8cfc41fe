/** The daemon's work with its control socket open. */
import type { CommandTargets } from '../../daemon/control/commands.ts'
import type { Supervised } from '../supervised.ts'
import { RECOVERY_MS } from './recover-only.ts'

/** From before the first recovery, which somebody may want to watch, until all is undone. */
export async function controlled<T>(
  { state, lock, supervisor }: Supervised,
  env: NodeJS.ProcessEnv,
  targets: CommandTargets,
  work: () => Promise<T>,
): Promise<T> {
  const { serveControlIn } = await import('../../daemon/control/server.ts')
  const { obey } = await import('../../daemon/control/commands.ts')
  const places = { stateDir: state.path, install: state.install, env }
  const warn = (message: string): void => supervisor.tell({ type: 'warning', code: 'control', message })
  const server = await serveControlIn(places, (request) => obey(request, targets), warn).catch(
    async (error: unknown) => {
      // Without a control socket nobody could stop the daemon, so it starts no runs. It still recovers.
      await supervisor.recoverAll({ noProgressMs: RECOVERY_MS })
      throw error
    },
  )
  try {
    await lock.setControl(server.path)
    return await work()
  } finally {
    await server.close()
  }
}
