/** How a command asks a daemon over its control socket: it waits for work, and not for silence. */
import { connect } from 'node:net'
import { formatDuration } from '../../core/duration.ts'
import { CodedError, ConfigError, messageOf } from '../../core/errors.ts'
import { fields, flag, oneOf, text } from '../../journal/shape.ts'
import { adviceFor } from '../../journal/unreadable.ts'
import { holderOf, isStopped } from '../../supervisor/holder.ts'
import type { Holder } from '../../supervisor/holder.ts'
import { elsewhereText } from '../../supervisor/pid-namespace.ts'
import { ACCEPTED, GO, WORKING } from './messages.ts'
import type { Answer, Request } from './messages.ts'

/** An answer names every experiment. */
const LONGEST_ANSWER = 1 << 26
/** How long nobody may answer before a command says so. */
const ANSWER_MS = 10_000

export interface AskOptions {
  /** How long nobody may answer, and for what is done at once how long it may take in all. */
  timeoutMs?: number
}

/**
 * Asks the daemon of a state folder. An answer may take as long as its work does, but not silence. Throws NO_DAEMON when
 * none is up, NO_ANSWER when nobody answers (the message says whether it can still be carried out), or the error that the
 * daemon answered with.
 */
export async function askDaemon(stateDir: string, request: Request, options: AskOptions = {}): Promise<unknown> {
  const holder = await holderOf(stateDir)
  if (holder.kind === 'none' || holder.note.control === undefined)
    throw new CodedError('NO_DAEMON', `no daemon is up on ${stateDir}; chaos daemon CONFIG starts one`)
  const { control } = holder.note
  const who =
    holder.kind === 'here'
      ? `the daemon (pid ${holder.note.pid})`
      : `${elsewhereText(holder.note)} holds ${stateDir}, and`
  const answer = await exchange(control, request, options.timeoutMs ?? ANSWER_MS).catch(async (error: unknown) => {
    if (error instanceof Silence) throw await silentError(who, holder, error, options.timeoutMs ?? ANSWER_MS)
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const refused = code === 'EACCES' || code === 'EPERM'
    const advice = refused ? `. ${await adviceFor(control, 'EACCES')}` : ''
    const there = holder.kind === 'here' ? '' : '. Run the command where it runs'
    const message = `${who} does not answer on ${control}: ${messageOf(error)}${advice}${there}`
    throw new CodedError(refused || holder.kind === 'elsewhere' ? 'NO_ANSWER' : 'NO_DAEMON', message, { cause: error })
  })
  if (answer.ok) return answer.result
  if (answer.problems)
    throw new ConfigError(answer.problems, answer.code === 'CONFIG_NOT_ON_TARGET' ? answer.code : 'CONFIG_INVALID')
  throw new CodedError(answer.code, answer.message)
}

/** Nobody has answered for too long. `begun`: the daemon has been told to go on with it. */
class Silence extends Error {
  readonly begun: boolean
  constructor(begun: boolean) {
    super('nobody answers')
    this.begun = begun
  }
}

async function silentError(who: string, holder: Exclude<Holder, { kind: 'none' }>, { begun }: Silence, ms: number) {
  const stopped = await isStopped(holder)
  const why = stopped ? `: its process is stopped (kill -CONT ${holder.note.pid} lets it go on)` : ''
  const what = begun
    ? 'It had taken the request: chaos status shows what becomes of it'
    : 'Nothing was done, and nothing of this request will be'
  return new CodedError('NO_ANSWER', `nobody answers: ${who} has said nothing for ${formatDuration(ms)}${why}. ${what}`)
}

/** What may take long is told by its beats; what is done at once has this many times as long in all. */
const LONG: ReadonlySet<Request['op']> = new Set(['abort', 'freeze', 'recover', 'run-now'])
const PATIENCE = 6

function exchange(control: string, request: Request, silenceMs: number): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    // As a path: a text of digits alone would be a port of this machine.
    const socket = connect({ path: control })
    let received = ''
    let begun = false
    const give = (end: () => void): void => {
      clearTimeout(silence)
      clearTimeout(late)
      socket.destroy()
      end()
    }
    const silent = (): void => give(() => reject(new Silence(begun)))
    // Not the socket's own: bytes that never become a line are no answer.
    let silence = setTimeout(silent, silenceMs)
    const longest = request.op === 'status' ? silenceMs : silenceMs * PATIENCE
    const late = LONG.has(request.op) ? undefined : setTimeout(silent, longest)
    const hear = (line: string): void => {
      if (`${line}\n` !== ACCEPTED && `${line}\n` !== WORKING) {
        give(() => {
          try {
            resolve(answerOf(JSON.parse(line)))
          } catch (error) {
            reject(new Error(messageOf(error)))
          }
        })
        return
      }
      if (!begun) socket.write(GO)
      begun = true
      clearTimeout(silence)
      silence = setTimeout(silent, silenceMs)
    }
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.write(`${JSON.stringify({ ...request, confirm: true })}\n`))
    socket.on('data', (chunk: string) => {
      const [rest = '', ...whole] = (received + chunk).split('\n').reverse()
      received = rest
      for (const line of whole.reverse()) hear(line)
      if (received.length > LONGEST_ANSWER) give(() => reject(new Error('its answer is too long')))
    })
    socket.on('error', (error) => give(() => reject(error)))
    socket.on('close', () => give(() => reject(new Error('it closed the connection'))))
  })
}

function answerOf(value: unknown): Answer {
  if (isAnswer(value)) return value as Answer
  throw new Error('what it says is no answer')
}

const isAnswer = oneOf(
  (value) => fields({ ok: flag })(value) && (value as { ok: boolean }).ok,
  fields({ ok: flag, code: text, message: text }),
)
