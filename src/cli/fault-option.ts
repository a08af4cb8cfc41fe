/** A fault on the command line: `latency,duration_ms=500,probability=0.3`. */
import { faultSchema } from '../config/chaos-experiment.ts'
import { FaultConfigError } from '../faults/index.ts'
import type { FaultConfig } from '../faults/index.ts'
import { readFault } from '../faults/fault.ts'
import { usageError } from './usage.ts'

/** Fields that hold texts, whatever they look like. */
const TEXTS = ['error_message', 'mode']

/** What has lists or maps as values is left to the file. */
export function readFaultOption(text: string): FaultConfig {
  const [type, ...fields] = text.split(',')
  const given = Object.fromEntries(
    fields.map((field) => {
      const [name = '', ...rest] = field.split('=')
      const value = rest.join('=')
      if (rest.length === 0)
        throw usageError('--fault', `${JSON.stringify(field)} has no value: write e.g. latency,duration_ms=500`)
      return [name.trim(), TEXTS.includes(name.trim()) || Number.isNaN(Number(value)) ? value : Number(value)]
    }),
  )
  const parsed = faultSchema.safeParse({ fault_type: type?.trim(), ...given })
  const [issue] = parsed.error?.issues ?? []
  if (issue !== undefined)
    throw usageError('--fault', `${JSON.stringify(text)}: ${[...issue.path, issue.message].join(': ')}`)
  // Only what was given is there.
  const fault = { fault_type: type?.trim(), ...given } as FaultConfig
  try {
    readFault(fault, JSON.stringify(text))
  } catch (error) {
    if (error instanceof FaultConfigError) throw usageError('--fault', error.message)
    throw error
  }
  return fault
}
