/** What a target counted by itself while a fault was in place: the calls that met it. For the report; no undo relies on it. */

export interface Observed {
  /** Calls that went through what was broken; absent where the target does not count them. */
  calls?: number
  /** Faults that took effect in one of them. */
  fired: number
  /** Parts of the target that had the fault and cannot be asked any more: what they counted is lost. */
  missing: number
}

/** True when everything could be asked and no fault has fired. */
export function metNobody({ fired, missing }: Observed): boolean {
  return fired === 0 && missing === 0
}

/** `40 calls, 12 faults fired` */
export function observedText({ calls, fired, missing }: Observed): string {
  const lost = missing === 0 ? '' : `${count(missing, 'instance')} gone with what it counted`
  if (missing > 0 && fired === 0 && (calls ?? 0) === 0) return lost
  const parts = [
    ...(calls === undefined ? [] : [calls === 0 ? 'not called' : count(calls, 'call')]),
    fired === 0 ? 'no fault fired' : `${count(fired, 'fault')} fired`,
    ...(lost === '' ? [] : [lost]),
  ]
  return parts.join(', ')
}

function count(n: number, what: string): string {
  return `${n.toLocaleString('en-US')} ${what}${n === 1 ? '' : 's'}`
}
