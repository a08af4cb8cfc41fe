/** What an error that ends a command says, and the exit code that goes with it. */
import { CodedError, ConfigError, formatProblem, messageOf, TargetError } from '../core/errors.ts'
import { bounded, visible, visibleLines } from '../core/foreign.ts'
import type { Context } from './context.ts'

/** EX_SOFTWARE of sysexits: a bug of ours, not of the caller's. */
const INTERNAL = 70

export function failed(error: unknown, { err }: Pick<Context, 'err'>): number {
  err(`${shownError(error)}\n`)
  if (error instanceof CodedError) return error.exitCode
  if (error instanceof Error && error.stack !== undefined) err(`${visibleLines(bounded(error.stack))}\n`)
  return INTERNAL
}

/** A line for each problem; what a target or a peer has said is no line of ours. */
function shownError(error: unknown): string {
  if (error instanceof ConfigError && error.code === 'CONFIG_NOT_ON_TARGET')
    return error.problems.map((problem) => visible(formatProblem(problem))).join('\n')
  if (error instanceof ConfigError) return visibleLines(error.message)
  const message = messageOf(error)
  const fix = error instanceof TargetError && error.fix !== undefined && message.includes(error.fix) ? error.fix : ''
  if (fix === '') return visible(message)
  const [before = '', behind = ''] = message.split(fix)
  // The line break before the lines to type is ours.
  const head = before.endsWith('\n') ? `${visible(before.slice(0, -1))}\n` : visible(before)
  return `${head}${visibleLines(fix).replaceAll('\n', '\n  ')}${visible(behind)}`
}
