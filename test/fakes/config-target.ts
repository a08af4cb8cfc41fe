/** A target that only knows its configuration: the mission's database, with params as its table lists them. */
import { z } from 'zod'
import type { SkillInfo } from '../../src/core/skill.ts'
import { defineTarget } from '../../src/core/target.ts'
import type { Target } from '../../src/core/target.ts'

/** `connected` grows when somebody connects, which no loader may. */
export function fakeDatabase(connected: unknown[] = []): Target {
  return defineTarget({
    name: 'database',
    config: z.strictObject({
      connection_url: z
        .string()
        .refine((text) => URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol), {
          error: 'is not a PostgreSQL URL; write postgres://user:password@host:5432/database',
        }),
      db_type: z.literal('postgres').default('postgres'),
      schemas: z.array(z.string().min(1)).default([]),
    }),
    skills: [
      skill('db.insert_load', { rows_per_table: z.int().min(1).default(1000), tables: tables.optional() }),
      skill('db.update_load', { rows: z.int().min(1).default(100), tables: tables.optional() }),
      skill('db.config_change', {
        changes: z
          .array(z.strictObject({ param: z.string(), value: z.union([z.string(), z.number(), z.boolean()]) }))
          .min(1),
      }),
      skill('db.table_lock', { tables, lock_mode: z.string().default('ACCESS EXCLUSIVE') }),
      skill('db.vacuum', { schemas: z.array(z.string()).min(1) }),
    ],
    endpoint({ connection_url }) {
      const { hostname, pathname } = new URL(connection_url)
      return { key: hostname + pathname, names: [hostname, pathname.slice(1)] }
    },
    redact: (config) => ({ ...config, connection_url: '…' }),
    secrets: ({ connection_url }) => [new URL(connection_url).password],
    connect(config) {
      connected.push(config)
      return Promise.reject(new Error('the loader must not connect'))
    },
  })
}

/** A second target, for skills that belong to another one. */
export function fakeCache(): Target {
  return defineTarget({
    name: 'cache',
    config: z.strictObject({ host: z.string() }),
    skills: [skill('cache.flush', {})],
    endpoint: ({ host }) => ({ key: host, names: [host] }),
    redact: (config) => config,
    secrets: () => [],
    connect: () => Promise.reject(new Error('the loader must not connect')),
  })
}

const tables = z.array(z.string().min(1)).min(1)

function skill(name: `${string}.${string}`, params: z.ZodRawShape): SkillInfo {
  return {
    name,
    summary: name,
    version: 1,
    scope: 'resource',
    phase: 'data',
    failsafe: 'none',
    params: z.strictObject(params),
    step: z.unknown(),
    byHand: () => ({ lines: [], holdsValues: false }),
  }
}
