/** iCalendar (RFC 5545): what is to come as events that a calendar program shows. */
import { bounded, visibleLines } from '../../core/foreign.ts'

export interface CalendarEvent {
  /** The same for the same event, so that a calendar updates instead of doubling it. */
  uid: string
  from: number
  to: number
  summary: string
  description: string
  cancelled: boolean
}

/** Octets of a line, without its end. */
const LONGEST_LINE = 75

export function formatCalendar(events: readonly CalendarEvent[], now: number): string {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//chaos-agents//schedule//EN',
    'CALSCALE:GREGORIAN',
    ...events.flatMap((event) => [
      'BEGIN:VEVENT',
      `UID:${escape(event.uid)}`,
      `DTSTAMP:${utc(now)}`,
      `DTSTART:${utc(event.from)}`,
      // To the second; it must be later than the beginning.
      `DTEND:${utc(Math.max(event.to, event.from + 1_000))}`,
      `SUMMARY:${escape(event.summary)}`,
      `DESCRIPTION:${escape(event.description)}`,
      `STATUS:${event.cancelled ? 'CANCELLED' : 'CONFIRMED'}`,
      'TRANSP:TRANSPARENT',
      'END:VEVENT',
    ]),
    'END:VCALENDAR',
  ]
  return lines.map((line) => `${fold(line)}\r\n`).join('')
}

/** `20261225T020000Z` */
function utc(at: number): string {
  return `${new Date(at).toISOString().replaceAll(/[-:]/g, '').slice(0, 15)}Z`
}

function escape(text: string): string {
  return visibleLines(bounded(text.replaceAll(/\r\n?/g, '\n')))
    .replaceAll(/[\\;,]/g, (character) => `\\${character}`)
    .replaceAll('\n', '\\n')
}

/** Long lines go on in the next one after a space; never within a character. */
function fold(line: string): string {
  const parts: string[] = []
  let part = ''
  for (const character of line) {
    // The space that a further line begins with counts too.
    if (Buffer.byteLength(part + character) > LONGEST_LINE - (parts.length > 0 ? 1 : 0)) {
      parts.push(part)
      part = ''
    }
    part += character
  }
  return [...parts, part].join('\r\n ')
}
