/** A fault on the command line of `mcp-proxy`: `latency,duration_ms=500,probability=0.3`. */
import { faultSchema } from '../../config/chaos-experiment.ts'
import { FaultConfigError } from '../../faults/index.ts'
import type { FaultConfig } from '../../faults/index.ts'
import { readToolFault } from '../../faults/fault.ts'
import { usageError } from '../usage.ts'

/** Fields that hold texts, whatever they look like. */
const TEXTS = ['error_message', 'mode', 'body']
const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false }

/** A number, `true` or `false`, a range `100..900`, or a text. */
function plain(value: string): unknown {
  const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(value) ?? []
  if (from !== undefined) return { from: Number(from), to: Number(to) }
  return FLAGS[value] ?? (value === '' || Number.isNaN(Number(value)) ? value : Number(value))
}

/** What has lists or maps as values is left to the file. */
export function readFaultOption(text: string): FaultConfig {
  const [type, ...fields] = text.split(',')
  const given = Object.fromEntries(
    fields.map((field) => {
      const [name = '', ...rest] = field.split('=')
      const value = rest.join('=')
      if (rest.length === 0)
        throw usageError('--fault', `${JSON.stringify(field)} has no value: write e.g. latency,duration_ms=500`)
      return [name.trim(), TEXTS.includes(name.trim()) ? value : plain(value)]
    }),
  )
  const parsed = faultSchema.safeParse({ fault_type: type?.trim(), ...given })
  const [issue] = parsed.error?.issues ?? []
  if (issue !== undefined)
    throw usageError('--fault', `${JSON.stringify(text)}: ${[...issue.path, issue.message].join(': ')}`)
  // Only what was given is there.
  const fault = { fault_type: type?.trim(), ...given } as FaultConfig
  try {
    readToolFault(fault, JSON.stringify(text))
  } catch (error) {
    if (error instanceof FaultConfigError) throw usageError('--fault', error.message)
    throw error
  }
  return fault
}
