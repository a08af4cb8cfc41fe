/** Every error we raise on purpose: a class that says who must act, and a stable code from one table. */
import type { Facts } from './facts.ts'
import { bounded } from './foreign.ts'

/** Code → the exit code of a command that ends with it (DESIGN: exit codes). */
export const ERROR_CODES = {
  CONFIG_INVALID: 2,
  CONFIG_NOT_ON_TARGET: 2,
  USAGE: 2,
  REFUSED_PROTECTED: 3,
  REFUSED_LIMIT: 3,
  REFUSED_UNSUITABLE: 3,
  REFUSED_CLAIMED: 3,
  REFUSED_FAILSAFE: 3,
  REFUSED_POOLER: 3,
  REFUSED_UNTRUSTED: 3,
  REFUSED_FROZEN: 3,
  REFUSED_CALENDAR: 3,
  BLOCKED_BY_RESIDUE: 4,
  RESIDUE: 4,
  IDENTITY_MISMATCH: 4,
  TARGET_UNREACHABLE: 1,
  TARGET_PRIVILEGE: 1,
  TARGET_FAILED: 1,
  STEP_FAILED: 1,
  STEP_STALE: 1,
  ABORTED: 130,
  WORKER_LOST: 1,
  JOURNAL_WRITE: 5,
  JOURNAL_READ: 5,
  STATE_EXPOSED: 5,
  JOURNAL_NEWER: 78,
  LOCKED: 75,
  NO_DAEMON: 1,
  NO_ANSWER: 1,
  CONTROL_SOCKET: 1,
} as const

export type ErrorCode = keyof typeof ERROR_CODES

/** The base of all errors with a code. `message` says what happened, to what, and what to do. */
export class CodedError extends Error {
  readonly code: ErrorCode
  /** What it is about, for machines. */
  readonly about: Facts | undefined
  constructor(code: ErrorCode, message: string, options: { cause?: unknown; about?: Facts | undefined } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = new.target.name
    this.code = code
    this.about = options.about
  }
  /** The exit code of a command that ends with this error. */
  get exitCode(): number {
    return ERROR_CODES[this.code]
  }
}

/** One thing wrong with a configuration: where, what, and what to write instead. */
export interface ConfigProblem {
  file: string
  /** 1-based; 0 where the place is not in a file (an option, an environment variable). */
  line: number
  column: number
  /** Dotted path of the key, e.g. `experiments[0].skills[1].params.rows`. */
  path: string
  message: string
}

/** The author of the configuration must act. Carries every problem found, not only the first. */
export class ConfigError extends CodedError {
  readonly problems: readonly ConfigProblem[]
  constructor(
    problems: readonly ConfigProblem[],
    code: 'CONFIG_INVALID' | 'CONFIG_NOT_ON_TARGET' | 'USAGE' = 'CONFIG_INVALID',
  ) {
    super(code, problems.map(formatProblem).join('\n'))
    this.problems = problems
  }
}

/** `file:line:column: path: message`, leaving out what is not known. */
export function formatProblem(p: ConfigProblem): string {
  const place = p.line > 0 ? `${p.file}:${p.line}:${p.column}` : p.file
  return [place, p.path, p.message].filter((part) => part !== '').join(': ')
}

/** A safety rule said no, before anything was touched. The operator decides. */
export class RefusedError extends CodedError {}

/** The target cannot be reached or does not let us: its owner must act. */
export class TargetError extends CodedError {
  /** What its owner can run to lift it, `GRANT …`; it also ends the message. */
  readonly fix: string | undefined
  constructor(code: ErrorCode, message: string, options: { cause?: unknown; fix?: string } = {}) {
    super(code, message, 'cause' in options ? { cause: options.cause } : undefined)
    this.fix = options.fix
  }
}

/** A step's apply went wrong; the fault may or may not be in place. */
export class StepError extends CodedError {}

/** The world moved on between plan and apply: the step is skipped and the run goes on. */
export class StaleError extends CodedError {
  constructor(message: string) {
    super('STEP_STALE', message)
  }
}

/** An undo did not end restored. What is left is residue. */
export class RollbackError extends CodedError {}

/** The journal cannot be written or read. */
export class JournalError extends CodedError {}

/** What machines read of an error beside its sentence. */
export interface ErrorFacts {
  code?: ErrorCode
  about?: Facts
}

/** Empty for the errors of others. */
export function factsOf(error: unknown): ErrorFacts {
  if (!(error instanceof CodedError)) return {}
  return { code: error.code, ...(error.about ? { about: error.about } : {}) }
}

/** Gives an error another text in place; that of a DOMException (an abort, a time limit) has no setter. */
export function setMessage(error: Error, message: string): void {
  if (error.message === message) return
  Object.defineProperty(error, 'message', { value: message, configurable: true, writable: true, enumerable: false })
}

/** The text for people: the message, and the messages of the causes that add something. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return bounded(String(error))
  const own = error.message !== '' ? ownOf(error) : 'code' in error ? String(error.code) : error.name
  if (error instanceof AggregateError && error.errors.length > 0) {
    return bounded([own, ...error.errors.map(messageOf)].filter((m) => m !== '').join('; '))
  }
  if (error.cause === undefined) return own
  const cause = messageOf(error.cause)
  return own.includes(cause) ? own : bounded(`${own}: ${cause}`)
}

/** A configuration's problems are all said; a text of others is cut. */
function ownOf(error: Error): string {
  return error instanceof ConfigError ? error.message : bounded(error.message)
}
