/** `chaos inject`: one fault, now, in this process, and what it raised. */
import { Chaos, FaultInjector, InjectedFaultError } from '../../faults/index.ts'
import type { FaultConfig, FaultType } from '../../faults/index.ts'
import type { Context } from '../context.ts'
import { usageError } from '../usage.ts'

export interface InjectCommandOptions {
  fault: FaultType
  duration: string
  errorCode: string
  message?: string
  target: string
}

export async function inject(context: Context, options: InjectCommandOptions): Promise<number> {
  const { fault, target, message } = options
  const config: FaultConfig = {
    fault_type: fault,
    affected_components: [target],
    ...(fault === 'latency' || fault === 'timeout'
      ? { duration_ms: wholeNumber('--duration', options.duration, 0) }
      : {}),
    ...(fault === 'error' ? { error_code: wholeNumber('--error-code', options.errorCode) } : {}),
    ...(message === undefined ? {} : { error_message: message }),
  }
  if (target === '') throw usageError('--target', 'needs a component name')
  context.out(`Injecting '${fault}' fault into component '${target}'...\n`)
  try {
    // The command itself is the consent.
    await new FaultInjector({ chaos: new Chaos({ enabled: true }) }).inject(config)
    context.out('Fault injection complete (no exception raised — e.g., latency).\n')
  } catch (error) {
    if (!(error instanceof InjectedFaultError)) throw error
    context.out(`Fault raised: ${error.name}: ${error.message}\n`)
  }
  return 0
}

/** What one timer of Node can wait for. */
const LARGEST = 2 ** 31 - 1

function wholeNumber(option: string, text: string, least = -LARGEST): number {
  const value = Number(text)
  if (/^-?\d+$/.test(text) && value >= least && value <= LARGEST) return value
  throw usageError(option, `needs a whole number from ${least} to ${LARGEST}, got ${JSON.stringify(text)}`)
}
