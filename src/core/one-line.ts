/** A foreign text in a place that has one line: what would end the line, or steer a terminal, is shown as a question mark. */
import { bounded } from './foreign.ts'

export function oneLine(text: string): string {
  return bounded(text).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')
}
