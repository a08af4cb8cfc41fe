/** `connectChaos({…})`: the application offers its wrapped components to the daemon. What listens is loaded only then. */
import type { ChaosConnection, ConnectOptions } from './connect/connection.ts'
import { SHORTEST_TOKEN } from './connect/protocol.ts'
import { application } from './enable.ts'
import { FaultConfigError } from './fault.ts'

/**
 * Listens for leases. By itself it breaks nothing; faults that are put in place live only while they are renewed. Rejects
 * when it cannot listen: an application that must start all the same catches that.
 */
export async function connectChaos(options: ConnectOptions): Promise<ChaosConnection> {
  check(options)
  const { listen } = await import('./connect/listen.ts')
  return listen(options.chaos ?? application, options)
}

function check({ app, socket, http }: ConnectOptions): void {
  const wrong = (message: string) => new FaultConfigError(`connectChaos: ${message}`)
  if (typeof app !== 'string' || app.trim() === '') throw wrong('app must be the name of the application')
  if ((socket === undefined) === (http === undefined)) throw wrong('give either socket or http')
  if (socket === '') throw wrong('socket must be a path')
  if (http && (typeof http.token !== 'string' || http.token.length < SHORTEST_TOKEN))
    throw wrong(
      `http needs a token of at least ${SHORTEST_TOKEN} characters: whoever reaches the port could break the application`,
    )
}
