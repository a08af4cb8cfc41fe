/** db.config_change: changes settings of the whole server, and puts back what was written of them, where it was written. */
import { z } from 'zod'
import { RollbackError, StaleError, StepError } from '../../../core/errors.ts'
import type { DatabaseSkill, SettingChange } from '../dialect.ts'

const change = z.strictObject({
  param: z.string().trim().min(1),
  value: z
    .union([z.string(), z.number(), z.boolean()])
    .transform((v) => (typeof v === 'boolean' ? (v ? 'on' : 'off') : String(v))),
})

const params = z.strictObject({
  changes: z
    .array(change)
    .min(1)
    .check(({ value, issues }) => {
      for (const [i, { param }] of value.entries()) {
        const first = value.findIndex((c) => c.param.toLowerCase() === param.toLowerCase())
        if (first === i) continue
        const message = `${param} is changed by changes[${first}] already: one change per setting and run`
        issues.push({ code: 'custom', input: param, path: [i, 'param'], message })
      }
    }),
})

const step = z.strictObject({
  name: z.string(),
  value: z.string(),
  before: z.string().nullable(),
  order: z.array(z.string()),
  expected: z.string(),
  visible: z.boolean(),
  list: z.boolean().optional(),
})

export const configChange: DatabaseSkill<z.infer<typeof params>, SettingChange> = ({ settings, byHand, examples }) => ({
  name: 'db.config_change',
  summary: `Change server settings (${settings.statement}); rollback puts the old values back, or removes the lines`,
  params,
  step,
  version: 1,
  scope: 'server',
  phase: 'setting',
  failsafe: 'none',

  asks: () =>
    examples.setting.values.map((value) => ({
      resource: `setting:${examples.setting.param}`,
      params: { changes: [{ param: examples.setting.param, value }] },
    })),

  plan: (ctx, { changes }) => settings.plan(ctx, changes),

  async apply({ target, mark, clock, signal }, step) {
    const before = await settings.seen(target, mark, step.name, signal)
    if (typeof before === 'object' && settings.stronger.includes(before.source)) {
      throw new StaleError(
        `${step.name} comes from the server's ${before.source}: ${settings.statement} has no effect on it`,
      )
    }
    if (step.visible && typeof before === 'object' && before.setting === step.expected) {
      throw new StaleError(`${step.name} has that value by now`)
    }
    const session = await target.session(mark, signal)
    try {
      if (!(await settings.isAsPlanned(session, step))) {
        throw new StaleError(`somebody has changed ${settings.whereWritten(step.name)} since the plan`)
      }
      await settings.write(session, step)
      await settings.reload(session, clock, signal)
    } finally {
      await session.close()
    }
    if (!step.visible || typeof before !== 'object') return
    const after = await settings.seen(target, mark, step.name, signal)
    if (typeof after === 'object' && after.setting === before.setting) {
      throw new StepError('STEP_FAILED', `${step.name} has no effect: new sessions have it from ${after.source}`)
    }
  },

  async inspect({ target, mark, signal }, step) {
    const state = await settings.state(target, step)
    const still = (what: string) => ({ inEffect: 1, restored: 0, foreign: 0, names: [`${step.name}${what}`] })
    if (state === 'ours') return still('')
    if (state === 'foreign') return { inEffect: 0, restored: 0, foreign: 1, names: [step.name] }
    if (state === 'moved') return still(' (the order of the lines)')
    if (await settings.stillRuns(target, mark, step, signal)) return still(' (not loaded yet)')
    return { inEffect: 0, restored: 1, foreign: 0 }
  },

  async revert({ target, mark, clock, signal }, step) {
    if (await settings.decidesCode(target, step))
      throw new RollbackError(
        'RESIDUE',
        `${step.name} decides which code the server runs, and is not written from a journal: set it back by hand`,
      )
    // First the value, and in effect; then the order of the lines.
    const changed = await settings.putBack(target, step, ['ours'], signal)
    const runs = (): Promise<boolean | undefined> => settings.stillRuns(target, mark, step, signal)
    if (changed || (await runs()) !== false) {
      await settings.reload(target, clock, signal).catch(async (error: unknown) => {
        // Files that somebody has broken meanwhile cannot be loaded; then ours may never have been either.
        if ((await runs()) !== false) throw error
      })
    }
    // Once more, because pg_settings gives the line numbers of the last load.
    if (await settings.putBack(target, step, ['moved', 'strays'], signal)) {
      await settings.reload(target, clock, signal).catch(() => undefined)
    }
  },

  byHand: (step, { config }) => byHand.putSettingBack(config, step),
})
