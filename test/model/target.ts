/** The target of the model: two systems behind three addresses, and three skills that change several things in a step. */
import { z } from 'zod'
import { StaleError, TargetError } from '../../src/core/errors.ts'
import type { Phase, Scope, SkillSpec } from '../../src/core/skill.ts'
import { defineTarget, runSkills } from '../../src/core/target.ts'
import type { Agent, ConnectOptions, Target } from '../../src/core/target.ts'
import { BOTH } from './configuration.ts'
import type { System } from './system.ts'

const params = z.strictObject({ steps: z.array(z.array(z.string())), also: z.array(z.string()).default([]) })
const step = z.strictObject({
  keys: z.array(z.string()),
  touches: z.array(z.string()),
  before: z.record(z.string(), z.string().nullable()).optional(),
  of: z.record(z.string(), z.number()).optional(),
})
const config = z.strictObject({ url: z.string(), password: z.string(), other: z.string().optional() })

type Step = z.infer<typeof step>
type Skill = SkillSpec<System, System, z.infer<typeof params>, Step>

export type Connect = (url: string, options: ConnectOptions) => { system: System; tick: () => Promise<void> }

/** `at` says which system is at an address now; `tick` comes ahead of every call, and may never return. */
export function modelTarget(at: Connect): Target {
  const skills = [
    skill('model.write', 'data', 'resource'),
    skill('model.set', 'setting', 'server'),
    skill('model.hold', 'held', 'resource'),
  ]
  return defineTarget({
    ...{ name: 'model', config, skills },
    endpoint: ({ url }) => ({ key: url, names: ['staging'] }),
    redact: ({ url }) => ({ url, password: '***' }),
    places: {
      list: ({ url }) => Promise.resolve(url === BOTH ? ['one', 'two'] : []),
      at({ url, password, other = '' }, id) {
        if (url !== BOTH || (id !== 'one' && id !== 'two')) return undefined
        const place = `model://${id}`
        const known = { url: place, password: id === 'one' ? password : other }
        return { id, endpoint: { key: place, names: ['staging'] }, config: known }
      },
    },
    secrets: ({ password, other }) => [password, ...(other === undefined ? [] : [other])],
    connect: ({ url, password }, options) => connect(skills, at(url, options), password),
  })
}

async function connect(skills: Skill[], { system, tick }: ReturnType<Connect>, password: string): Promise<Agent> {
  const call = async (name: string): Promise<void> => {
    await tick()
    system.log.push(name)
    system.reach()
  }
  await call('connect')
  if (password !== system.password) throw new TargetError('TARGET_UNREACHABLE', 'password authentication failed')
  const calls = runSkills<System, System>(
    skills,
    () => system,
    () => Promise.resolve(system),
  )
  const named =
    <A extends unknown[], T>(name: string, work: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      await call(name)
      try {
        return await work(...args)
      } finally {
        await tick()
      }
    }
  return {
    identity: named('identity', () => {
      const { id = null } = system.parts
      return Promise.resolve({ scopes: { server: `${id}`, database: `${id}/db`, resource: `${id}/db` }, parts: { id } })
    }),
    discover: named('discover', () => {
      const resources = [...system.values.keys()].map((name) => ({ id: `db.${name}`, name, kind: 'thing' }))
      return Promise.resolve({ resources, summary: `${resources.length} things` })
    }),
    claim: named('claim', () => Promise.resolve({})),
    quiesce: named('quiesce', (run: string) => {
      system.end(run)
      return Promise.resolve()
    }),
    sweep: named('sweep', () => Promise.resolve([])),
    plan: named('plan', calls.plan),
    apply: named('apply', calls.apply),
    inspect: named('inspect', calls.inspect),
    observe: () => Promise.resolve(undefined),
    revert: named('revert', calls.revert),
    close: () => Promise.resolve(),
  }
}

function skill(name: Skill['name'], phase: Phase, scope: Scope): Skill {
  return {
    ...{ name, summary: name, params, step, version: 1, scope, phase, failsafe: 'none' },
    plan(_ctx, { steps, also }) {
      const planned = steps.map((keys) => {
        // An id belongs to one scope: claims of different scopes on it would not meet.
        const touches = [...keys, ...also].map((key) => `${scope === 'server' ? 'setting' : 'db'}.${key}`)
        return { resource: touches[0] ?? '', touches, step: { keys, touches }, describe: `${name} ${keys.join(' ')}` }
      })
      return Promise.resolve({ steps: planned })
    },
    async apply({ target, mark, signal, record, hold }, { keys, touches }) {
      const outcome = target.begin(mark, touches)
      if (outcome === 'error') throw new Error('the server says no')
      if (outcome === 'stale') throw new StaleError('it has moved on')
      const before = Object.fromEntries(keys.map((key) => [key, target.values.get(key) ?? null]))
      const of = Object.fromEntries(keys.map((key) => [key, target.thing(key)]))
      await record({ before, of })
      const held = phase === 'held'
      if (held) {
        const close = async (): Promise<void> => {
          target.endSession(mark)
          await Promise.resolve()
        }
        hold({ close })
      }
      await target.send({ mark, keys, touches, before, of, held }, outcome, signal)
    },
    inspect({ target, mark }, { keys, before, of }) {
      const inEffect = keys.filter((key) => target.isOf(mark, key, of))
      if (target.sessions.some((c) => c.mark === mark)) inEffect.push('session')
      const foreign =
        before === undefined || phase === 'held'
          ? []
          : keys.filter((key) => !inEffect.includes(key) && (target.values.get(key) ?? null) !== before[key])
      const counts = { inEffect: inEffect.length, foreign: foreign.length, names: [...inEffect, ...foreign] }
      return Promise.resolve({ ...counts, restored: Math.max(0, keys.length - inEffect.length - foreign.length) })
    },
    revert({ target, mark }, { keys, ...facts }) {
      target.undo(mark, phase === 'held' ? [] : keys, facts)
      return Promise.resolve()
    },
    byHand: ({ keys }) => ({ lines: keys.map((key) => `put ${key}`), holdsValues: false }),
  }
}
