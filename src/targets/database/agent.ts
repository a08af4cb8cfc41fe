/** The live connection to one database: who it is, what is on it, whose claims hold, what of ours is still running. */
import { TargetError } from '../../core/errors.ts'
import { identityMismatch } from '../../core/identity.ts'
import type { Identity } from '../../core/identity.ts'
import { markOf, runMark } from '../../core/skill.ts'
import type { AnySkill, Agent, ConnectOptions } from '../../core/target.ts'
import { runSkills } from '../../core/target.ts'
import type { DbClient, DbReader } from './client.ts'
import type { DatabaseConfig } from './config.ts'
import { connectionsNeeded, requireConnections } from './connections.ts'
import { endSessions } from './quiesce.ts'
import type { OpenServer } from './verbs/server.ts'

/** What the marks of every install begin with. */
const MARKS = 'chaos-'

export async function connectAgent(
  open: OpenServer,
  config: DatabaseConfig,
  skills: readonly AnySkill<DbReader, DbClient>[],
  options: ConnectOptions,
): Promise<Agent> {
  const { install, run, signal, clock } = options
  const server = await open(config, { mark: markOf(install, run, 0), clock, signal })
  const { client, claims } = server
  let reader: DbReader | undefined
  let known: Identity | undefined

  server.onReconnect = async (control) => {
    const differing = known ? identityMismatch(known.parts, (await server.identity(control)).parts) : []
    if (differing.length > 0) {
      throw new TargetError(
        'IDENTITY_MISMATCH',
        `another server answers at this address now (${differing.join(', ')} differ)`,
      )
    }
    await claims.takeAgain(control)
  }

  const skillCalls = runSkills(
    skills,
    () => client,
    async () => {
      if (reader) return reader
      await requireConnections(server, connectionsNeeded({ held: 0, atOnce: 1, serverWide: false }))
      await server.refuseShared()
      await server.showOurs()
      return (reader = await server.openReader())
    },
  )
  /** Held sessions of a skill so far, by the set that its invocations of one run have in common. */
  const held = new WeakMap<object, number>()
  let wholeServer = false
  const notes = new Map<number, string | undefined>()

  return {
    async identity() {
      return (known ??= await server.identity(client))
    },
    discover: (signal) => server.discover(config.schemas, signal),
    ...skillCalls,
    async plan(name, params, ctx) {
      const plan = await server.placed(() => skillCalls.plan(name, params, ctx))
      const { phase, scope } = skills.find((s) => s.name === name) ?? {}
      const sessions = (held.get(ctx.taken) ?? 0) + (phase === 'held' ? plan.steps.length : 0)
      held.set(ctx.taken, sessions)
      wholeServer ||= scope === 'server' && plan.steps.length > 0
      const needed = connectionsNeeded({ held: sessions, atOnce: ctx.sideBySide ?? 1, serverWide: wholeServer })
      if (!notes.has(needed)) notes.set(needed, await requireConnections(server, needed))
      const note = notes.get(needed)
      return note === undefined ? plan : { ...plan, notes: [...(plan.notes ?? []), note] }
    },
    claim: (keys) => claims.take(keys),
    sample: (signal) => server.sample(runMark(install, ''), signal),
    async quiesce(run, signal, stranger) {
      // Where it cannot be shown, only the undo after the next crash has to wait for the server to end it.
      await server.showOurs().catch(() => undefined)
      const strangers = await endSessions(server, runMark(install, run), clock, signal)
      for (const words of strangers) stranger?.(words)
    },
    sweep: (install) => server.leftovers(install === undefined ? MARKS : runMark(install, '')),
    async close() {
      claims.stop()
      await server.close()
    },
  }
}
