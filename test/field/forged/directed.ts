/** Forged on purpose, one kind each: what drawn journals may not come to in a short run. */
import type { ForgedWorld } from './world.ts'

interface Directed {
  skill: string
  change?(record: { data?: object; facts?: object }, world: ForgedWorld): void
  secret?(world: ForgedWorld): unknown
  note?(world: ForgedWorld): object
}

/** By what is right. */
export const DIRECTED: Record<string, Directed> = {
  'a note whose control socket is a port does not have it asked': {
    skill: 'db.table_lock',
    note: ({ bait }) => ({
      ...{ pid: bait.victim.pid, start_time: bait.victim.start, command: 'daemon', workers: [] },
      ...{ started_at: '2026-11-25T19:20:54.518Z', control: String(bait.trap) },
    }),
  },
  'a lock step that names the session of another ends nobody': {
    skill: 'db.table_lock',
    change(record, { bait }) {
      if (record.facts) Object.assign(record.facts, { pid: bait.session.pid, backend_start: bait.session.start })
      if (record.data) Object.assign(record, { mark: bait.session.name })
    },
  },
  'keys without an end do not keep the undo counting': {
    skill: 'db.insert_load',
    change(record) {
      const keys = { keys: [['1', '9223372036854775807']] }
      if (record.facts && 'keys' in record.facts) Object.assign(record.facts, keys)
    },
  },
  'what is stored of a run leads to no other server': {
    skill: 'db.update_load',
    secret: ({ bait }) => ({ connection_url: `postgres://postgres:secret@127.0.0.1:${bait.trap}/postgres` }),
  },
  'a command is not written into a setting, though the line before is as the journal says': {
    skill: 'db.config_change',
    change(record, { bait }) {
      if (record.data)
        Object.assign(record.data, { name: 'archive_command', value: 'false', before: `touch ${bait.canary}` })
    },
  },
}
