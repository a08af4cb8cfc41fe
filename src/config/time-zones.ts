/** Names of time zones: which are taken, what to write instead of an offset, and what a short name really means. */
import { openZone } from '../schedule/zone.ts'
import type { Kind } from './kinds.ts'
import type { Source } from './source.ts'
import { didYouMean } from './suggest.ts'
import type { Path } from './tree.ts'

export const timezone: Kind<string> = {
  read: (value) => (typeof value === 'string' && isTimeZone(value) ? value : undefined),
  explain({ value, text }) {
    const zones = ['UTC', ...Intl.supportedValuesOf('timeZone')]
    const name = typeof value === 'string' ? value.trim() : ''
    const minutes = offsetIn(name)
    if (minutes !== undefined) return `must be the name of a time zone, got ${text}: write ${namesFor(minutes, zones)}`
    const place = PLACES[name.toUpperCase()]
    if (place !== undefined) {
      return `must be the name of a time zone, got ${text}: write the place, such as "${place}", which has both its winter and its summer time`
    }
    return `must be a time zone such as "UTC" or "Europe/Berlin", got ${text}${didYouMean(name, zones)}`
  },
}

/** Where the clocks of a short name hang. Those that the system knows itself are not asked here. */
const PLACES: Record<string, string> = {
  ...{ WET: 'Europe/Lisbon', WEST: 'Europe/Lisbon', GMTDT: 'Europe/London' },
  ...{
    CEST: 'Europe/Berlin',
    MEZ: 'Europe/Berlin',
    MESZ: 'Europe/Berlin',
    MET: 'Europe/Berlin',
    MEST: 'Europe/Berlin',
  },
  ...{ EET: 'Europe/Athens', EEST: 'Europe/Athens', MSK: 'Europe/Moscow', TRT: 'Europe/Istanbul' },
  ...{ ET: 'America/New_York', EDT: 'America/New_York', CT: 'America/Chicago', CDT: 'America/Chicago' },
  ...{ MT: 'America/Denver', MDT: 'America/Denver', PT: 'America/Los_Angeles', PDT: 'America/Los_Angeles' },
  ...{ AKDT: 'America/Anchorage', BRT: 'America/Sao_Paulo', SAST: 'Africa/Johannesburg', GST: 'Asia/Dubai' },
  ...{ SGT: 'Asia/Singapore', HKT: 'Asia/Hong_Kong', KST: 'Asia/Seoul', JST: 'Asia/Tokyo' },
  ...{ AEST: 'Australia/Sydney', AEDT: 'Australia/Sydney', AWST: 'Australia/Perth', ACST: 'Australia/Adelaide' },
  ...{ NZST: 'Pacific/Auckland', NZDT: 'Pacific/Auckland' },
}

/** Offsets are refused on every Node alike: 22 and later would take them. */
function isTimeZone(name: string): boolean {
  if (/^[-+]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** `UTC+2`, `GMT-3`, `+05:30`: minutes ahead of UTC. */
function offsetIn(name: string): number | undefined {
  const [, sign, hours, minutes = '0'] = /^(?:UTC|GMT)?\s*([-+−])\s*(\d{1,2})(?::?(\d{2}))?$/i.exec(name) ?? []
  if (hours === undefined || Number(hours) > 14 || Number(minutes) > 59) return undefined
  const ahead = Number(hours) * 60 + Number(minutes)
  return sign === '+' ? ahead : -ahead
}

/** The names for an offset: a fixed one, and a place that has it in January. */
function namesFor(minutes: number, zones: readonly string[]): string {
  if (minutes === 0) return '"UTC"'
  const january = Date.UTC(new Date().getUTCFullYear(), 0, 15)
  const has = (zone: string): boolean => openZone(zone).offsetAt(january) === minutes * 60_000
  const usual = Object.values(PLACES).find(has) ?? zones.find((zone) => /^(?!Etc)\w+\//.test(zone) && has(zone))
  const place = usual === undefined ? '' : `"${usual}"`
  if (minutes % 60 !== 0) return place === '' ? 'the name of the place' : `a place, such as ${place}`
  const fixed = `"Etc/GMT${minutes > 0 ? '-' : '+'}${Math.abs(minutes) / 60}" (its sign is the other way round)`
  return place === '' ? fixed : `a place, such as ${place}, or ${fixed}`
}

/** Says what is meant by a name that is easily taken for another: `EST` has no summer time, `Etc/GMT+5` is behind UTC. */
export function warnOfTimeZone(source: Source, path: Path): void {
  const { value } = source.seen(path)
  if (
    typeof value !== 'string' ||
    !isTimeZone(value) ||
    /^(?:Etc\/)?(?:UTC|UCT|GMT0?|Zulu|Universal|Greenwich)$/i.test(value)
  )
    return
  const signed = /^Etc\/GMT([-+])\d/i.exec(value)
  if (signed) {
    const other = value.replace(/[-+]/, (sign) => (sign === '+' ? '-' : '+'))
    source.warn(path, `${value} is ${yearOf(value)}: its sign is the other way round; for the other one write ${other}`)
  } else if (!value.includes('/')) {
    const { timeZone: place } = new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions()
    const known = place.includes('/') ? `${place}, ` : ''
    source.warn(path, `${value} means ${known}${yearOf(value)}; write the place instead, such as Europe/London`)
  }
}

/** `UTC-05:00 all year`, `UTC+01:00 in January and UTC+02:00 in July`. */
function yearOf(name: string): string {
  const zone = openZone(name)
  const year = new Date().getUTCFullYear()
  const [january, july] = [0, 6].map((month) => offsetText(zone.offsetAt(Date.UTC(year, month, 15))))
  return january === july ? `${january} all year` : `${january} in January and ${july} in July`
}

function offsetText(ms: number): string {
  const minutes = Math.abs(Math.round(ms / 60_000))
  const two = (n: number): string => String(n).padStart(2, '0')
  return `UTC${ms < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}
