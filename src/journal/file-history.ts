/** Reports as files: `<state>/history/<run>.json`. */
import { join } from 'node:path'
import type { Report } from '../core/report.ts'
import type { Ballast } from './ballast.ts'
import { writeFileDurably } from './disk.ts'
import type { Disk } from './disk.ts'
import type { History } from './history.ts'
import { parseReport } from './small-files.ts'
import { guarded, namesIn, readOptional } from './state-files.ts'

/** `stateDir`: the folder that a message names. */
export function fileHistory(stateDir: string, disk: Disk, ballast: Ballast): History {
  const folder = join(stateDir, 'history')
  const list = async (): Promise<string[]> =>
    (await namesIn(folder, '.json', disk)).map((name) => name.slice(0, -'.json'.length))
  const read = async (run: string): Promise<Report | undefined> => {
    const file = join(folder, `${run}.json`)
    const text = await readOptional(file, disk)
    return text === undefined ? undefined : parseReport(file, text)
  }
  return {
    list,
    read,
    keep(report, { ofUndo = false } = {}) {
      const text = `${JSON.stringify(report, null, 2)}\n`
      const write = (): Promise<void> => writeFileDurably(disk, folder, `${report.run}.json`, text)
      return guarded(stateDir, ofUndo ? ballast.withRoom(write) : write())
    },
    async prune(olderThanMs, now) {
      for (const run of await list()) {
        // A report that cannot be read is left to a person, and does not keep the others for ever.
        const report = await read(run).catch(() => undefined)
        if (report && now - Date.parse(report.finished_at) > olderThanMs) await disk.remove(join(folder, `${run}.json`))
      }
    },
  }
}
