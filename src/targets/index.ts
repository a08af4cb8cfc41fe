/** The registry: one line per target. */
import type { Target } from '../core/target.ts'
import { database } from './database/index.ts'

export const targets: readonly Target[] = [database]
