/** `chaos recover --accept-loss`: ends a run whose journal is damaged, once everything readable in it is undone. */
import { systemClock } from '../../core/clock.ts'
import { oneLine } from '../../core/foreign.ts'
import { acceptLoss } from '../../journal/accept-loss.ts'
import type { Kept } from '../../journal/accept-loss.ts'
import { json } from '../context.ts'
import type { Context } from '../context.ts'

export type AcceptedLoss = Awaited<ReturnType<typeof acceptLoss>>

/** After a recovery of that run, and under the state folder's lock. */
export function acceptLossOf(state: Kept, run: string, note = ''): Promise<AcceptedLoss> {
  return acceptLoss(state, { run, note, now: systemClock.now() })
}

export function showAccepted(context: Context, { report, aside }: AcceptedLoss, asJson: boolean): number {
  if (asJson) {
    context.out(json({ accepted: report, aside }))
    return 0
  }
  context.out(`run ${report.run} is over; what was damaged is accepted as lost\n`)
  for (const note of report.notes.slice(-10)) context.out(`  ${oneLine(note)}\n`)
  for (const file of aside) context.out(`kept aside: ${oneLine(file)}\n`)
  return 0
}
