/** One look at how a system is doing, while a fault is in place or not. It is only told, never relied on by an undo. */
import { TargetError } from './errors.ts'
import { bounded } from './foreign.ts'

/** Names are lower case with underscores and end with the unit where it is no count: `oldest_transaction_s`, `temp_bytes`. */
export interface Sample {
  /** Which life of the system its counters count in: where another one is told, they began anew, as after a restart. */
  epoch: string
  /** From the question to its answer, milliseconds. */
  round_trip_ms: number
  /** How it is at this moment. */
  gauges: Record<string, number>
  /** Totals since the epoch began; only differences within one epoch mean something. */
  counters: Record<string, number>
}

/** Of an agent that may have none to give; its epoch is cut to what people read. */
export async function sampleOf(
  agent: { sample?(signal: AbortSignal): Promise<Sample> },
  signal: AbortSignal,
): Promise<Sample> {
  const sample = await agent.sample?.(signal)
  if (!sample) throw new TargetError('TARGET_FAILED', 'it tells nothing of itself')
  return { ...sample, epoch: bounded(sample.epoch) }
}
