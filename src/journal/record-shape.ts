/** Whether what a line holds is a record: its checksum only says that it is what was written. */
import type { JournalRecord } from './journal.ts'
import { fields, listOf, mapOf, nullable, number, object, oneOf, optional, text, time } from './shape.ts'
import type { Shape } from './shape.ts'

const ofStep = { step: number }

const ofRun = {
  ...{ run: text, install: text, experiment: text, target: text, endpoint: text, seed: text },
  ...{ soak_ms: number, notes: listOf(text) },
}
const identity = fields({ scopes: mapOf(text), parts: mapOf(nullable(text)) })
const place = fields({ place: text, endpoint: text, identity })

const RECORDS: Record<JournalRecord['type'], Shape> = {
  'run.started': oneOf(fields({ ...ofRun, identity }), fields({ ...ofRun, places: listOf(place) })),
  'run.continued': fields({ run: text, after: listOf(fields({ part: number, length: number })) }),
  'step.planned': fields({
    ...ofStep,
    version: optional(number),
    ...{ skill: text, resource: text, touches: listOf(text), describe: text, mark: text, data: object },
    place: optional(text),
  }),
  'step.recorded': fields({ ...ofStep, facts: object }),
  'undo.progress': fields({ ...ofStep, facts: object }),
  'step.applied': fields({ ...ofStep, effect: object, ms: number }),
  'step.failed': fields({ ...ofStep, error: text }),
  'step.revert_failed': fields({ ...ofStep, error: text }),
  'step.quarantined': fields({ ...ofStep, error: text, boot: text }),
  'step.released': fields(ofStep),
  'step.skipped': fields({ ...ofStep, reason: text }),
  'step.soaked': fields({ ...ofStep, effect: object }),
  'step.reverted': fields({ ...ofStep, kept: number, names: listOf(text) }),
  'step.accepted': fields({ ...ofStep, note: text }),
  'undo.started': oneOf(fields({ ...ofStep, boot: optional(text) }), fields({ reason: text, outcome: text })),
  'run.finished': fields({ outcome: text }),
}

const stamped = fields({ at: time })

/** Of a type that this version does not know: it is passed over. */
const unknown = fields({ type: text })

export function isRecord(value: unknown): boolean {
  if (!unknown(value)) return false
  const { type } = value as { type: string }
  return Object.hasOwn(RECORDS, type) ? stamped(value) && RECORDS[type as JournalRecord['type']](value) : true
}
