/** Fifteen bugs that would break the promise, each as a change of the source's text, and the test that must find it. */

export interface Mutation {
  bug: string
  file: string
  /** Exact texts; one that is not there exactly once is an error: then the mutation is out of date. */
  changes: readonly (readonly [from: string, to: string])[]
  /** The test file, and a part of the title of the test in it. */
  caughtBy: readonly [file: string, title: string]
}

const PLANNED = `await journal.append(
        { type: 'step.planned', step, skill, version, ...at, resource, touches, describe, mark, data },
        { durable: true },
      )`

export const MUTATIONS: readonly Mutation[] = [
  {
    bug: 'the intent is written after the act',
    file: 'src/engine/steps.ts',
    changes: [
      [PLANNED, PLANNED.replace('await ', 'const intent = () => ')],
      [
        'const result = await this.#bounded(planned, lane)',
        'const result = await this.#bounded(planned, lane)\nawait intent()',
      ],
    ],
    caughtBy: ['test/engine/run.test.ts', 'every step is durably planned'],
  },
  {
    bug: 'a durable record is not synced',
    file: 'src/journal/part-writer.ts',
    changes: [['await this.#handle.datasync()\n    this.#synced', 'this.#synced']],
    caughtBy: ['test/journal/file-journal.test.ts', 'a durable append has not resolved'],
  },
  {
    bug: 'the folder of a new journal is not synced',
    file: 'src/journal/part-writer.ts',
    changes: [['await disk.syncFolder(dirname(file))', '']],
    caughtBy: ['test/journal/file-journal.test.ts', 'the name of a new journal is durable'],
  },
  {
    bug: 'a failed sync is tried again',
    file: 'src/journal/part-writer.ts',
    changes: [
      [
        'await this.#handle.datasync()\n    this.#synced',
        'await this.#handle.datasync().catch(() => this.#handle.datasync())\n    this.#synced',
      ],
    ],
    caughtBy: ['test/journal/failed-sync.test.ts', 'a sync that has failed is not asked'],
  },
  {
    bug: 'a step counts as reverted without reading back',
    file: 'src/engine/rollback.ts',
    changes: [['left = await agent.inspect(step.skill, data, ctx)', 'left = { inEffect: 0, restored: 1, foreign: 0 }']],
    caughtBy: ['test/engine/rollback.test.ts', 'what still reads as in effect'],
  },
  {
    bug: 'nothing is quiesced before the undo',
    file: 'src/engine/rollback.ts',
    changes: [['(signal) => agent.quiesce(input.run, signal, stranger)', '() => Promise.resolve()']],
    caughtBy: ['test/engine/rollback.test.ts', 'quiesce comes before'],
  },
  {
    bug: 'a step is recorded as reverted before its undo',
    file: 'src/engine/rollback.ts',
    changes: [
      [
        'const error = await persist(input, async (signal, alive)',
        `await log.append({ type: 'step.reverted', step: step.step, kept: 0, names: [], ms: 0 })
  const error = await persist(input, async (signal, alive)`,
      ],
    ],
    caughtBy: ['test/engine/rollback.test.ts', 'step.reverted is written only after'],
  },
  {
    bug: 'workers do not inherit the lock',
    file: 'src/supervisor/worker-process.ts',
    changes: [[', ...(lock.fd >= 0 ? [lock.fd] : [])', '']],
    caughtBy: ['test/supervisor/worker-lock.test.ts', 'a worker keeps the lock taken'],
  },
  {
    bug: 'a second daemon is not kept out',
    file: 'src/supervisor/lock.ts',
    changes: [['return result.status === 0', 'return true']],
    caughtBy: ['test/supervisor/lock.test.ts', 'a second process is LOCKED'],
  },
  {
    bug: 'a journal that is unreadable is taken for damaged',
    file: 'src/journal/unreadable.ts',
    changes: [['return { path, code }', 'return undefined']],
    caughtBy: ['test/engine/accept-loss.test.ts', 'a journal that cannot be read is not damaged'],
  },
  {
    bug: 'the identity of the system is not checked',
    file: 'src/engine/recover.ts',
    changes: [['if (differing.length > 0) return', 'if (differing.length > 999) return']],
    caughtBy: ['test/engine/recover.test.ts', 'another system behind the address'],
  },
  {
    bug: 'a failed step is trusted to have changed nothing',
    file: 'src/journal/journal.ts',
    changes: [[" || s.state === 'failed'", '']],
    caughtBy: ['test/engine/run.test.ts', 'an apply that changes and then fails'],
  },
  {
    bug: 'a secret gets into the journal',
    file: 'src/engine/run.ts',
    changes: [['target_config: target.redact(config)', 'target_config: config']],
    caughtBy: ['test/engine/run.test.ts', 'the secret is kept before the journal begins'],
  },
  {
    bug: 'rows are taken back by key alone',
    file: 'src/targets/database/postgres/removal.ts',
    changes: [
      ["if (proof.byKey) return { from, where, mine: 'true', params }", "return { from, where, mine: 'true', params }"],
    ],
    caughtBy: ['test/field/replaced-table.test.ts', 'rows of a table that was truncated with its sequence restarted'],
  },
  {
    bug: 'sessions are ended by name alone',
    file: 'src/targets/database/postgres/sessions.ts',
    changes: [['coalesce(${OWN_SESSION}, false)', 'true']],
    caughtBy: ['test/field/stranger-session.test.ts', 'a session of another role that has our mark'],
  },
]
