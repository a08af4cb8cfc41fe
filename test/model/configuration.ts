/** The configuration file of the model: five experiments, overlapping and disjoint, which an operator may edit. */
import { DEFAULT_TIMING } from '../../src/core/experiment.ts'
import type { Config, ScheduledExperiment } from '../../src/core/experiment.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import type { SystemName } from './world.ts'
import { FIRST_PASSWORD } from './system.ts'
import type { System } from './system.ts'

export type Address = 'model://one' | 'model://alias' | 'model://two'

/** Both systems: a run on it has two places. */
export const BOTH = 'model://both'

/** What a configuration of the model's target says; `other` is the password of the second system, where both are meant. */
export interface TargetConfig {
  url: string
  password: string
  other?: string | undefined
}

/** The alias is a second name of the first system. */
export const ADDRESSES: [Address, SystemName][] = [
  ['model://one', 'one'],
  ['model://alias', 'one'],
  ['model://two', 'two'],
]

export const EXPERIMENTS = ['first', 'second', 'third', 'fourth', 'fifth'] as const
export type ExperimentName = (typeof EXPERIMENTS)[number]

export type Edit = 'elsewhere' | 'gone' | 'other steps' | 'right'

const MINUTE = 60_000

type Kind = 'model.write' | 'model.set' | 'model.hold'
type Entry = [kind: Kind, steps: string[][], also?: string[]]

/**
 * On the first system, the first and the second meet at `c`, the second and the third at the setting `s`; the fifth meets the
 * third there at `f`, and on the second system the fourth at `b`.
 */
const WHAT: Record<
  ExperimentName,
  {
    url: Address | typeof BOTH
    skills: Entry[]
    soak: number
    schedule?: string
    parallel?: true
    spread?: true
    skip?: true
  }
> = {
  first: {
    ...{ url: 'model://one', soak: 10 * MINUTE, schedule: '0 0 * * * *' },
    skills: [
      ['model.write', [['a', 'b'], ['b', 'c'], ['a']]],
      ['model.hold', [['c']]],
    ],
  },
  second: {
    ...{ url: 'model://alias', soak: 20 * MINUTE, schedule: '0 5 * * * *', skip: true },
    skills: [
      ['model.write', [['c'], ['d']]],
      ['model.set', [['s']]],
    ],
  },
  third: {
    ...{ url: 'model://one', soak: 5 * MINUTE, parallel: true },
    skills: [
      ['model.write', [['e'], ['f']], ['z']],
      ['model.write', [['f', 'e']]],
      ['model.set', [['s']]],
    ],
  },
  fourth: {
    ...{ url: 'model://two', soak: 10 * MINUTE, schedule: '0 3 * * * *', spread: true },
    skills: [
      ['model.write', [['a'], ['b', 'a']]],
      ['model.set', [['s'], ['s']]],
    ],
  },
  fifth: {
    ...{ url: BOTH, soak: 10 * MINUTE, schedule: '0 7 * * * *' },
    skills: [
      ['model.write', [['b', 'f'], ['f']]],
      ['model.hold', [['d']]],
    ],
  },
}

export class Configuration {
  readonly #edits = new Map<ExperimentName, Edit>()
  readonly #systems: Record<SystemName, System>
  #passwords: Record<SystemName, string>

  constructor(systems: Record<SystemName, System>) {
    this.#systems = systems
    this.#passwords = this.#real()
  }

  edit(name: ExperimentName, edit: Edit): void {
    this.#edits.set(name, edit)
  }

  /** The operator writes down the passwords as they are now. */
  passwords(): void {
    this.#passwords = this.#real()
  }

  /** Whether what was stored with a run may be of no use any more. */
  get outdated(): boolean {
    return Object.values(this.#real()).some((password) => password !== FIRST_PASSWORD)
  }

  right(): void {
    this.#edits.clear()
    this.passwords()
  }

  /** What the file says now of where an experiment goes. */
  of(name: string | undefined): TargetConfig | undefined {
    const found = this.now.experiments.find(({ experiment }) => experiment.name === name)
    return found?.experiment.target_config as TargetConfig | undefined
  }

  get now(): Config {
    return {
      file: 'model.yaml',
      settings: {
        ...{ max_concurrent: 3, timezone: 'UTC', stop_deadline_ms: 5 * MINUTE, history: { keep_days: 3650 } },
        trust: 'warn',
      },
      experiments: EXPERIMENTS.filter((name) => this.#edits.get(name) !== 'gone').map((name) => this.#entry(name)),
      warnings: [],
    }
  }

  #entry(name: ExperimentName): ScheduledExperiment {
    const { url, skills, soak, schedule, parallel = false, spread = false, skip } = WHAT[name]
    const edit = this.#edits.get(name)
    const address = edit !== 'elsewhere' ? url : url === 'model://two' ? 'model://one' : 'model://two'
    const password = this.#passwords[address === 'model://two' ? 'two' : 'one']
    const target_config: TargetConfig = {
      ...{ url: address, password },
      ...(address === BOTH ? { other: this.#passwords.two } : {}),
    }
    const entries = edit === 'other steps' ? skills.slice(1) : skills
    return {
      ...DEFAULT_TIMING,
      experiment: fakeExperiment(
        entries.map(([skill_name, steps, also = []]) => ({ skill_name, params: { steps, also }, spread })),
        { name, target: 'model', target_config, duration_ms: soak, parallel },
      ),
      ...(schedule === undefined ? {} : { schedule }),
      ...(skip ? { on_busy: 'skip' as const } : {}),
      enabled: true,
    }
  }

  #real(): Record<SystemName, string> {
    return { one: this.#systems.one.password, two: this.#systems.two.password }
  }
}
