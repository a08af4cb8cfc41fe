/** How many connections a run opens at once, and whether the server has so many left for our role. */
import { RefusedError } from '../../core/errors.ts'
import type { ConnectionLimit, Server } from './verbs/server.ts'

/** What every run has open: the connection that looks and undoes, and the one that plans. */
const BASE = 2

export interface Wants {
  /** Steps whose session stays open for the soak. */
  held: number
  /** Steps that are applied side by side. */
  atOnce: number
  /** Claims on the whole server are taken in the database `postgres`. */
  serverWide: boolean
}

/** Connections that the run has open at its busiest. */
export function connectionsNeeded({ held, atOnce, serverWide }: Wants): number {
  return BASE + (serverWide ? 1 : 0) + Math.max(1, held, atOnce)
}

/** Why the run would not get its connections; undefined when there is room. */
function tooFewConnections(needed: number, limits: readonly ConnectionLimit[]): string | undefined {
  const tight = tightest(limits)
  if (!tight || needed <= tight.limit - tight.others) return undefined
  const left = Math.max(0, tight.limit - tight.others)
  return (
    `the run needs ${needed} connections at once, and ${tight.of} has ${left} left for it: others use ${tight.others}; ` +
    `raise the limit, or run when fewer are in use`
  )
}

/** Worth a word: few are left to others meanwhile. */
function connectionsNote(needed: number, limits: readonly ConnectionLimit[]): string | undefined {
  const tight = tightest(limits)
  if (!tight) return undefined
  const left = tight.limit - tight.others - needed
  return left >= FEW
    ? undefined
    : `the run needs ${needed} connections at once; ${tight.of} leaves ${left} to others meanwhile`
}

const FEW = 5

function tightest(limits: readonly ConnectionLimit[]): ConnectionLimit | undefined {
  return [...limits].sort((a, b) => a.limit - a.others - (b.limit - b.others))[0]
}

/** Throws RefusedError REFUSED_UNSUITABLE where there is no room for the run. Gives a note for its plan. */
export async function requireConnections(server: Server, needed: number): Promise<string | undefined> {
  const limits = await server.connectionLimits()
  const why = tooFewConnections(needed, limits)
  if (why !== undefined) throw new RefusedError('REFUSED_UNSUITABLE', why)
  return connectionsNote(needed, limits)
}
