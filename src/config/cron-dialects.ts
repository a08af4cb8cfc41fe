/** Schedules as other programs write them (Quartz, Jenkins, Kubernetes, crontab), and the same in our six fields. */
import { parseDuration } from '../core/duration.ts'

export const EXAMPLE = '"0 0 2 * * *" (second minute hour day-of-month month day-of-week: every night at two)'

const NICKNAMES: Record<string, string> = {
  '@yearly': '0 0 0 1 1 *',
  '@annually': '0 0 0 1 1 *',
  '@monthly': '0 0 0 1 * *',
  '@weekly': '0 0 0 * * 0',
  '@daily': '0 0 0 * * *',
  '@midnight': '0 0 0 * * *',
  '@hourly': '0 0 * * * *',
}

/** What to write instead of a whole schedule of another dialect; undefined when it has the form of ours. */
export function dialectProblem(schedule: string): string | undefined {
  const zone = /^(?:CRON_TZ|TZ)=(\S+)\s*(.*)$/is.exec(schedule)
  if (zone) {
    const rest = sixOf(zone[2] ?? '')
    return `must not hold a time zone: write timezone: ${zone[1] ?? ''} beside it, and schedule: ${rest === undefined ? EXAMPLE : `"${rest}"`}`
  }
  if (schedule.startsWith('@')) return nicknameProblem(schedule)
  const fields = schedule.split(/\s+/)
  const [last = ''] = fields.slice(-1)
  if (fields.length === 7 && /^(?:[*?]|(?:19|20)\d\d[-,/\d]*)(?:\/\d+)?$/.test(last)) {
    const every = /^[*?]$/.test(last) ? '' : ', and enabled: false for the other years'
    return `has a year as its seventh field, which schedules do not have: write "${fields.slice(0, 6).join(' ')}"${every}`
  }
  return undefined
}

function nicknameProblem(schedule: string): string {
  const [, every] = /^@every\s+(\S+)$/i.exec(schedule) ?? []
  const same = every === undefined ? NICKNAMES[schedule.toLowerCase()] : everyOf(every)
  if (same !== undefined) return `must have 6 fields: write "${same}"`
  if (every !== undefined) {
    return 'must have 6 fields, which give times that divide a minute, an hour or a day: write e.g. "*/30 * * * * *" (every 30 seconds) or "0 */5 * * * *" (every 5 minutes)'
  }
  if (/^@(?:reboot|startup)$/i.test(schedule)) {
    return `must have 6 fields, and none of them is the start of the machine: write e.g. ${EXAMPLE}`
  }
  return `must have 6 fields: write e.g. ${EXAMPLE}`
}

// `30s` becomes `*/30 * * * * *`; only a time that divides a minute, an hour or a day can be written so.
function everyOf(text: string): string | undefined {
  const seconds = (parseDuration(text) ?? 0) / 1_000
  const units: [number, number, string, string][] = [
    [1, 60, '', ' * * * * *'],
    [60, 60, '0 ', ' * * * *'],
    [3_600, 24, '0 0 ', ' * * *'],
  ]
  for (const [unit, cycle, before, after] of units) {
    const n = seconds / unit
    if (Number.isInteger(n) && n >= 1 && n < cycle && cycle % n === 0)
      return `${before}${n === 1 ? '*' : `*/${n}`}${after}`
  }
  return seconds === 86_400 ? '0 0 0 * * *' : undefined
}

function sixOf(rest: string): string | undefined {
  const fields = rest.trim().split(/\s+/)
  if (fields.length === 5) return `0 ${fields.join(' ')}`
  return fields.length === 6 ? fields.join(' ') : undefined
}

const FIRST = [0, 0, 0, 1, 1, 0] as const
const LAST = [59, 59, 23, 31, 12, 6] as const

/** What to write instead of one field of another dialect; `index` counts from the seconds. */
export function fieldDialect(field: string, index: number): string | undefined {
  const [, from, step] = /^(\d{1,2})\/(\d{1,2})$/.exec(field) ?? []
  const [first, last] = [FIRST[index] ?? 0, LAST[index] ?? 0]
  if (from !== undefined && step !== undefined && Number(from) >= first && Number(from) <= last) {
    return Number(from) === first ? `*/${step}` : `${from}-${last}/${step}`
  }
  return undefined
}

/** Jenkins' `H` and OpenBSD's `~`: some value, chosen by the program. */
export function isRandom(field: string): boolean {
  return /^H(?:\(\d+-\d+\))?(?:\/\d+)?$/i.test(field) || /^\d*~\d*(?:\/\d+)?$/.test(field)
}
