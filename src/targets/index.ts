/** The registry: one line per target. */
import type { Target } from '../core/target.ts'
import { application } from './application/index.ts'
import { database } from './database/index.ts'

export const targets: readonly Target[] = [database, application]
