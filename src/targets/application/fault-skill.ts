/**
 * What the six skills share: one lease per component, the same on every instance, under the step's mark and with a key that
 * only the step has. The lease is the fail-safe: it is renewed while it is held (renewal.ts), and ends by itself in the application when we are gone.
 */
import { z } from 'zod'
import { formatDuration, parseDuration } from '../../core/duration.ts'
import { ConfigError, RollbackError, StaleError, StepError } from '../../core/errors.ts'
import { pickingOf } from '../../core/pick.ts'
import type { Plan, PlanContext, Skipped, SkillSpec } from '../../core/skill.ts'
import { oneLine } from '../../core/foreign.ts'
import { within } from '../../core/within.ts'
import { EVERY } from '../../faults/component.ts'
import { FAULT_MODES } from '../../faults/fault-type.ts'
import type { FaultConfig, FaultType } from '../../faults/fault-type.ts'
import { LONGEST_KEY } from '../../faults/connect/protocol.ts'
import { nearest } from '../../faults/fields.ts'
import type { AppClient, AppReader, Instance } from './client.ts'
import { remember, remembered } from './fate.ts'
import { faultOf, faultParams, isFault } from './params.ts'
import type { Where } from './params.ts'
import { inspect, observe } from './read-back.ts'
import { endEverywhere } from './ownership.ts'
import { keepRenewed } from './renewal.ts'

/** Behind the calls of a component, in what is discovered. */
export const SYNCHRONOUS = ', synchronous'

/** How much longer than its time a lease may last in an application that is busy. */
const MARGIN_MS = 2_000
/** Every instance answers much sooner, or the step fails. */
const APPLY_MS = 60_000

/** What any version has given. */
const LONGEST_LEASE_MS = 60 * 60_000

const step = z.strictObject({
  component: z.string(),
  fault: z.custom<FaultConfig>(isFault),
  // An undo waits for it: a journal that was changed must not make that for ever.
  lease_ms: z.number().min(0).max(LONGEST_LEASE_MS),
  seed: z.string(),
  /** Those that get the fault at first; recorded before the first of them does. */
  instances: z.array(remembered).optional(),
  /** Shows that the lease is ours; recorded before it is granted. */
  key: z.string().max(LONGEST_KEY).optional(),
  /** An undo has waited for longer than the lease can last: the next one need not. */
  waited: z.boolean().optional(),
})
type Step = z.infer<typeof step>
type Params = Where & Record<string, unknown>

export interface FaultSkill {
  name: `app.${FaultType}`
  summary: string
  /** Parameters besides those of every fault; made when they are first asked for. */
  own(): z.ZodRawShape
  /** Parameters with which it can be shown what it would do. */
  example: Record<string, unknown>
  /** What it does to a call, for a person: `delay calls by 200 ms`. */
  describe(fault: FaultConfig): string
}

export function faultSkill(spec: FaultSkill): SkillSpec<AppReader, AppClient, Params, Step> {
  const type = spec.name.slice('app.'.length) as FaultType
  let params: SkillSpec<AppReader, AppClient, Params, Step>['params'] | undefined
  return {
    name: spec.name,
    summary: spec.summary,
    // Most commands of most people never ask for them, and schemas are slow to make.
    get params() {
      return (params ??= faultParams(type, spec.own()))
    },
    step,
    version: 1,
    scope: 'resource',
    // Leases of one run do not stand in each other's way, as locks would: several faults may be on one component.
    phase: 'setting',
    failsafe: 'target',
    machineLocal: true,

    asks: (resources) => resources.map(({ id }) => ({ resource: id, params: { ...spec.example, components: [id] } })),

    plan: (ctx, params) => planOf(ctx, params, faultOf(type, params), spec),

    async apply({ target, mark, heldMs, clock, signal, record, hold }, { component, fault, lease_ms, seed }) {
      const found = await everyInstance(target, signal)
      const instances = found.map(remember)
      const key = process.getBuiltinModule('node:crypto').randomBytes(18).toString('base64url')
      await record({ instances, key })
      const given = { mark, key, component, fault }
      const grant = { mark, key, faults: [fault], components: [component], lease_ms, seed }
      try {
        await Promise.all(instances.map(({ address }) => target.grant(address, grant, signal)))
      } catch (error) {
        await within(MARGIN_MS, (soon) => endEverywhere(target, given, soon)).catch(() => undefined)
        throw error
      }
      hold(keepRenewed(target, { grant, given, instances, heldMs }, clock))
    },

    inspect: ({ target, mark, signal }, { instances = [], ...step }) =>
      inspect(target, { mark, ...step }, instances, signal),

    observe: ({ target, mark, signal }, { instances = [], ...step }) =>
      observe(target, { mark, ...step }, instances, signal),

    async revert({ target, mark, clock, signal, progress }, { instances = [], waited = false, ...step }) {
      const given = { mark, ...step }
      await endEverywhere(target, given, signal)
      const isSettled = async (): Promise<boolean> => (await inspect(target, given, instances, signal)).inEffect === 0
      // Who cannot be asked: its lease runs out, and meanwhile it may answer again, or end. That is waited for once; an
      // undo that waited with every attempt would be making progress for ever.
      const deadline = clock.monotonic() + (waited ? 0 : step.lease_ms + MARGIN_MS)
      for (let pause = 100; !(await isSettled()); pause = Math.min(pause * 2, 1_000)) {
        if (clock.monotonic() >= deadline) {
          if (!waited) await progress({ waited: true })
          const { names = [] } = await inspect(target, given, instances, signal)
          throw new RollbackError('RESIDUE', `nobody can say that the fault is gone: ${names.join(', ')}`)
        }
        await clock.sleep(pause, signal)
        await endEverywhere(target, given, signal)
        if (pause === 1_000) await progress({})
      }
    },

    byHand({ component, lease_ms, instances = [] }) {
      const after = formatDuration(lease_ms + MARGIN_MS)
      const where = instances.map(({ address, pid }) => `${address} (pid ${pid})`).join(', ') || 'every instance'
      const lines = [
        `# nothing needs to be done: the fault in ${component} ends by itself ${after} after our last sign of life`,
        `# where it does not, start the application anew: ${where}`,
      ]
      return { lines: lines.map(oneLine), holdsValues: false }
    },
  }
}

function pickedOf(ctx: PlanContext<AppReader>): string[] {
  const { candidates, most } = pickingOf(ctx, 'component')
  return candidates.slice(0, most).map(({ id }) => id)
}

async function planOf(
  ctx: PlanContext<AppReader>,
  { components: named, lease }: Params,
  fault: FaultConfig,
  spec: FaultSkill,
): Promise<Plan<Step>> {
  const { target, all, elsewhere, taken, random, signal } = ctx
  // What is known on one instance is broken on all of them: it may come to the others while the run lasts.
  const names = [...all.map(({ id }) => id), ...(elsewhere ?? [])]
  const unmet = (named ?? []).filter((name) => name !== EVERY && !names.includes(name))
  const mayCome =
    unmet.length > 0 && (await target.look(signal)).instances.some(({ hello }) => hello.open_ended === true)
  const known = named ? namedComponents(named, mayCome ? [...names, ...unmet] : names) : undefined
  const free = (id: string): boolean => !taken.has(id)
  const chosen = known ?? pickedOf(ctx)
  const skipped: Skipped[] = chosen
    .filter((id) => !free(id))
    .map((id) => ({ resource: id, reason: `${id} has ${spec.name} from an earlier entry of this run already` }))
  const never = chosen.filter((id) => all.some((r) => r.id === id && r.detail?.startsWith('0 calls')))
  const delays = fault.fault_type === 'latency' || (fault.fault_type === 'timeout' && fault.duration_ms !== undefined)
  const blocks = delays ? chosen.filter((id) => all.some((r) => r.id === id && r.detail?.endsWith(SYNCHRONOUS))) : []
  return {
    steps: chosen.filter(free).map((id) => ({
      resource: id,
      touches: [id],
      step: {
        component: id,
        fault,
        lease_ms: parseDuration(lease) ?? 0,
        seed: random
          .fork(id)
          .int(2 ** 40)
          .toString(36),
      },
      applyMs: APPLY_MS,
      describe: `${spec.describe(fault)} of ${id}${whenOf(fault)}`,
    })),
    skipped,
    notes: [
      ...(mayCome ? unmet.map((name) => unmetNote(name, names)) : []),
      ...never.map((id) => `${id} has not been called since its application was started: nobody may notice`),
      ...blocks.map(
        (id) =>
          `${id} is synchronous: each call that is delayed stops its whole process, for at most 1 s and never beyond the lease`,
      ),
    ],
  }
}

/** It may be a host or a tool that nobody has called yet, or a mistake: the run will tell. */
function unmetNote(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  const meant = near === undefined ? '' : ` (did you mean ${JSON.stringify(near)}?)`
  return `${JSON.stringify(name)} is not met yet${meant}: the application knows hosts and tools with their first call; a run in which none is made is ineffective`
}

/** Every name that is not there is reported at once. */
function namedComponents(names: readonly string[], known: readonly string[]): string[] {
  const problems = names.flatMap((name, index) => {
    if (known.includes(name)) return []
    const message = `the application has no component ${JSON.stringify(name)}; it has ${known.join(', ') || 'none'}`
    return [{ file: '', line: 0, column: 0, path: `params.components[${index}]`, message }]
  })
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
  return [...new Set(names)]
}

function whenOf(fault: FaultConfig): string {
  const parts = [
    fault.probability === undefined || fault.probability === 1
      ? ''
      : `${Number((fault.probability * 100).toFixed(2))}%`,
    fault.every_nth === undefined || fault.every_nth === 1 ? '' : `every ${fault.every_nth}th`,
    fault.first_n === undefined ? '' : `first ${fault.first_n}`,
    fault.burst === undefined ? '' : `${fault.burst.calls} of every ${fault.burst.every}`,
    fault.after_calls === undefined ? '' : `after ${fault.after_calls} calls`,
    fault.after_ms === undefined ? '' : `after ${fault.after_ms} ms`,
    fault.window_ms === undefined ? '' : `from ${fault.window_ms.from} to ${fault.window_ms.until} ms`,
  ].filter((part) => part !== '')
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}

/** `raise` is what a kind does by itself, and goes without saying. */
export function modeOf({ fault_type, mode }: FaultConfig): string {
  return mode === undefined || mode === FAULT_MODES[fault_type][0] ? '' : ` by ${mode}`
}

async function everyInstance(target: AppClient, signal: AbortSignal): Promise<Instance[]> {
  const { instances, silences } = await target.look(signal)
  const mute = silences.find(({ why }) => why === 'silent' || why === 'garbled' || why === 'denied')
  if (mute) throw new StepError('STEP_FAILED', `${target.app} at ${mute.address} cannot be asked: ${mute.message}`)
  if (instances.length === 0) throw new StaleError(`no instance of ${target.app} answers any more`)
  return instances
}
