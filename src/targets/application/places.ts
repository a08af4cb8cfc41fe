/** The places of an application: each instance fails by itself, and is broken and restored by itself. */
import type { Place } from '../../core/target.ts'
import { leadsTo } from './addresses.ts'
import { keyOf, namesOf } from './config.ts'
import type { ApplicationConfig } from './config.ts'

/** Of a run that is on `all` instances the first has those that come later as well. */
export function placeAt(config: ApplicationConfig, id: string, all?: readonly string[]): Place | undefined {
  if (!leadsTo(config, id)) return undefined
  const narrowed = { at: id, ...(all?.[0] === id ? { except: all.slice(1) } : {}) }
  return { id, endpoint: { key: keyOf(config), names: namesOf(config) }, config: { ...config, ...narrowed } }
}
