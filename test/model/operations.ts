/** What can happen, as plain data that fast-check draws and shrinks, and how each of it is done to a world. */
import fc from 'fast-check'
import { CodedError } from '../../src/core/errors.ts'
import { EXPERIMENTS } from './configuration.ts'
import type { Edit, ExperimentName } from './configuration.ts'
import type { Service } from './service.ts'
import type { Outcome } from './system.ts'
import type { SystemName, World } from './world.ts'

/** `after` is how many operations on the disk and on the systems go by before it happens; 0 is at once. */
export type Operation =
  | { do: 'start'; experiment: ExperimentName; steps: Outcome[]; after?: undefined }
  | { do: 'due'; hours: number; after?: undefined }
  | { do: 'pass'; seconds: number; after?: undefined }
  | { do: 'abort'; experiment: ExperimentName; after?: undefined }
  | { do: 'signal'; after?: undefined }
  | { do: 'kill'; who: 'worker' | 'daemon' | 'both'; after: number }
  | { do: 'power cut'; how: number; after: number }
  | { do: 'disk full'; after: number }
  | { do: 'room again'; after?: undefined }
  | { do: 'disk error'; of: 'changes' | 'reads'; forever: boolean; after: number }
  | { do: 'foreign write'; system: SystemName; nth: number; of: 'ours' | 'any'; remove: boolean; after: number }
  | { do: 'replace'; system: SystemName; nth: number; of: 'ours' | 'any'; after: number }
  | { do: 'target down'; system: SystemName; after: number }
  | { do: 'target up'; system: SystemName; after?: undefined }
  | { do: 'no undo'; system: SystemName; how: 'refuse' | 'silent'; after?: undefined }
  | { do: 'second daemon'; after?: undefined }
  | { do: 'edit'; experiment: ExperimentName; edit: Edit; after?: undefined }
  | { do: 'new password'; system: SystemName; told: boolean; after?: undefined }
  | { do: 'another system there'; after?: undefined }
  | { do: 'clock jump'; days: number; after?: undefined }
  | { do: 'recover'; after?: undefined }

export const KINDS = [
  ...['start', 'due', 'pass', 'abort', 'signal', 'kill', 'power cut', 'disk full', 'room again', 'disk error'],
  ...['foreign write', 'replace', 'target down', 'target up', 'no undo', 'second daemon', 'edit', 'new password'],
  ...['another system there', 'clock jump', 'recover'],
] as readonly string[] as readonly Operation['do'][]

export const OUTCOMES: readonly Outcome[] = ['ok', 'error', 'lost', 'part', 'late', 'hang', 'stale']

const experiment = fc.constantFrom(...EXPERIMENTS)
/** Most of what is done is done to the first. */
const system = fc.constantFrom<SystemName>('one', 'one', 'two')
/** Mostly soon: a run is some hundred operations. */
const after = fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat({ max: 150 }) })
const outcome = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Outcome>('ok') },
  { weight: 5, arbitrary: fc.constantFrom(...OUTCOMES) },
)
const does = (kind: Operation['do'], rest: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Operation> =>
  fc.record({ do: fc.constant(kind), ...rest }) as unknown as fc.Arbitrary<Operation>

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: does('start', { experiment, steps: fc.array(outcome, { maxLength: 5 }) }) },
  { weight: 2, arbitrary: does('due', { hours: fc.integer({ min: 1, max: 2 }) }) },
  { weight: 3, arbitrary: does('pass', { seconds: fc.nat({ max: 1500 }) }) },
  { weight: 1, arbitrary: does('abort', { experiment }) },
  { weight: 1, arbitrary: does('signal', {}) },
  { weight: 5, arbitrary: does('kill', { who: fc.constantFrom('worker', 'daemon', 'both'), after }) },
  { weight: 3, arbitrary: does('power cut', { how: fc.nat({ max: 9999 }), after }) },
  { weight: 2, arbitrary: does('disk full', { after }) },
  { weight: 1, arbitrary: does('room again', {}) },
  {
    weight: 2,
    arbitrary: does('disk error', {
      of: fc.constantFrom('changes', 'reads'),
      forever: fc.constantFrom(false, false, false, true),
      after,
    }),
  },
  {
    weight: 4,
    arbitrary: does('foreign write', {
      system,
      nth: fc.nat({ max: 6 }),
      of: fc.constantFrom('ours', 'any'),
      remove: fc.boolean(),
      after,
    }),
  },
  {
    weight: 2,
    arbitrary: does('replace', { system, nth: fc.nat({ max: 6 }), of: fc.constantFrom('ours', 'any'), after }),
  },
  { weight: 2, arbitrary: does('target down', { system, after }) },
  { weight: 2, arbitrary: does('target up', { system }) },
  { weight: 2, arbitrary: does('no undo', { system, how: fc.constantFrom('refuse', 'silent') }) },
  { weight: 1, arbitrary: does('second daemon', {}) },
  {
    weight: 2,
    arbitrary: does('edit', { experiment, edit: fc.constantFrom('elsewhere', 'gone', 'other steps', 'right') }),
  },
  { weight: 1, arbitrary: does('new password', { system, told: fc.boolean() }) },
  { weight: 1, arbitrary: does('another system there', {}) },
  { weight: 1, arbitrary: does('clock jump', { days: fc.integer({ min: -10, max: 10 }) }) },
  { weight: 4, arbitrary: does('recover', {}) },
)

const SECOND = 1_000
const DAY = 86_400_000

/** Does it, gives everybody a second to go on, and looks whether what is in effect is known. */
export async function perform(op: Operation, world: World, service: Service): Promise<void> {
  await act(op, world, service)
  await world.clock.pass(SECOND)
  const { running } = service
  if (running?.daemon.status.ready) world.judge(running.supervisor.blocked.map(({ run }) => run))
}

async function act(op: Operation, world: World, service: Service): Promise<void> {
  const { clock, systems, configuration } = world
  const trap = (spring: Parameters<World['arm']>[1]): void => {
    const counted: typeof spring = (actor) => {
      world.met.set(op.do, (world.met.get(op.do) ?? 0) + 1)
      spring(actor)
    }
    if ((op.after ?? 0) > 0) world.arm(op.after ?? 0, counted)
    else counted(undefined)
  }
  switch (op.do) {
    case 'start':
      await start(op, world, service)
      break
    case 'due':
      await service.boot()
      await clock.pass(op.hours * 3600 * SECOND)
      break
    case 'pass':
      await clock.pass(op.seconds * SECOND)
      break
    case 'abort':
      // Its undo may take long: it goes on beside what comes next.
      service.running?.daemon.abort(op.experiment, 'somebody has second thoughts').catch(() => undefined)
      break
    case 'signal':
      await service.signal()
      break
    case 'kill':
      trap((actor) => world.kill(op.who, actor))
      break
    case 'power cut':
      trap(() => world.powerCut(op.how))
      break
    case 'disk full':
      trap(() => world.fill())
      break
    case 'room again':
      world.makeRoom()
      break
    case 'disk error':
      trap(() => world.diskError(op.of, op.forever))
      break
    case 'foreign write':
      trap(() => systems[op.system].foreign(op.nth, op))
      break
    case 'replace':
      trap(() => systems[op.system].replace(op.nth, op.of))
      break
    case 'target down':
      trap(() => (systems[op.system].up = false))
      break
    case 'target up':
      systems[op.system].up = true
      systems[op.system].reverts = undefined
      break
    case 'no undo':
      systems[op.system].reverts = op.how
      break
    case 'second daemon':
      await service.boot()
      await service.second()
      break
    case 'edit':
      configuration.edit(op.experiment, op.edit)
      await reload(service)
      break
    case 'new password':
      systems[op.system].password += '*'
      if (op.told) configuration.passwords()
      await reload(service)
      break
    case 'another system there':
      world.exchange()
      break
    case 'clock jump':
      clock.jump(op.days * DAY)
      break
    case 'recover':
      await service.recover()
      break
  }
}

async function start(
  { experiment: name, steps }: Extract<Operation, { do: 'start' }>,
  world: World,
  service: Service,
): Promise<void> {
  const running = await service.boot()
  if (!running) return
  for (const { outcomes } of Object.values(world.systems)) outcomes.splice(0, Infinity, ...steps)
  try {
    const { report } = await running.daemon.runNow(name)
    report.catch(() => undefined)
  } catch (error) {
    // Running already, blocked, or not configured: then nothing begins.
    if (!(error instanceof CodedError)) throw error
  }
}

async function reload(service: Service): Promise<void> {
  const { running } = service
  if (running) await service.drive(running.life, running.daemon.reload(), 'a reload')
}
