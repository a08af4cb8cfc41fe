/** The proof: every row, setting, session and lock as before chaos, but for what the application itself has committed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { diff, snapshot, type Snapshot } from '../snapshot.ts'

/** Above what a long demo comes to: a table known by its hash alone could not be compared with the application's edits. */
const KEEP_ROWS = 200_000
/** Sessions that were just closed are seen for a moment longer. */
const GONE_MS = 5_000

export function takeSnapshot(url: string): Promise<Snapshot> {
  return snapshot(url, { keepRows: KEEP_ROWS })
}

/** What differs now (expected → found), one line each, when those who are leaving have left. */
export async function differences(url: string, expected: () => Snapshot): Promise<string[]> {
  const end = Date.now() + GONE_MS
  for (;;) {
    const lines = diff(expected(), await takeSnapshot(url))
    if (!lines.some((line) => /session|lock/.test(line)) || Date.now() > end) return lines
    await sleep(100)
  }
}

/** How much was compared: `1,760 rows of 4 tables, 612 settings and other facts`. */
export function extent({ tables, facts }: Snapshot): string {
  const rows = Object.values(tables).reduce((sum, table) => sum + (table.kind === 'rows' ? table.rows.length : 0), 0)
  const settings = Object.keys(facts).filter((name) => name.startsWith('setting ')).length
  return `${rows} rows of ${Object.keys(tables).length} tables, ${settings} settings, sessions, locks and definitions`
}
