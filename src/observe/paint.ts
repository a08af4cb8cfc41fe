/** Colours of a terminal. */

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'
export type Paint = (style: Style, text: string) => string

const CODES: Record<Style, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
}

/** Where the text goes: `env` says whether colours and redrawn lines are wanted (NO_COLOR, TERM=dumb). */
export interface Screen {
  tty: boolean
  env: NodeJS.ProcessEnv
  /** Width in characters; absent where it is not known. */
  columns?: number | undefined
}

/** https://no-color.org: any text in NO_COLOR means no. */
export function paintFor({ tty, env }: Screen): Paint {
  return tty && (env['NO_COLOR'] ?? '') === '' && !isDumb(env) ? coloured : plain
}

/** Whether a line can be drawn over. */
export function redraws({ tty, env }: Screen): boolean {
  return tty && !isDumb(env)
}

function isDumb(env: NodeJS.ProcessEnv): boolean {
  return env['TERM'] === 'dumb'
}

export const plain: Paint = (_style, text) => text
export const coloured: Paint = (style, text) => `\u001b[${CODES[style][0]}m${text}\u001b[${CODES[style][1]}m`
