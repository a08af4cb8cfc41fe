/** The faults of one proxy, around calls of tools: what the client gets instead of the server's answer, or that answer itself. */
import { Chaos, FaultSequence, InjectedFaultError, callSite } from '../faults/index.ts'
import type { AdapterSite, FaultConfig, FiredFault } from '../faults/index.ts'
import { isNetworkError, retryAfterOf, statusOf, textOf } from '../faults/adapters/refusal.ts'
import { errorResult, insideToolResult } from '../faults/adapters/tool-result.ts'
import { EVERY } from '../faults/component.ts'
import { nearest } from '../faults/fields.ts'
import { readToolFault } from '../faults/fault.ts'
import type { Placement } from '../faults/placement.ts'
import { errorMessage } from './message.ts'
import type { Id } from './message.ts'

/** JSON-RPC: something in the server went wrong. */
const INTERNAL_ERROR = -32603
/** What the SDKs of the protocol say when there is no answer in time. */
const REQUEST_TIMEOUT = -32001

export interface ToolFaultsOptions {
  faults: readonly FaultConfig[]
  /** For faults without affected_components; empty is every tool. */
  tools?: readonly string[]
  seed?: string | number | undefined
  /** The faults end after so long; undefined is never. */
  duration_ms?: number | undefined
  /** Errors as JSON-RPC errors rather than as results of the tool. */
  protocolError?: boolean
  fired?: (fired: FiredFault) => void
  /** A tool that is named, and may be another one misspelt. */
  warn?: (text: string) => void
}

/** What the server said, as it was written and as it was read. */
export interface Answer {
  raw: Buffer
  body: Record<string, unknown>
}

export class ToolFaults {
  readonly seed: string | number
  readonly #chaos = new Chaos({ enabled: true })
  readonly #sites = new Map<string, AdapterSite>()
  readonly #placement: Placement
  readonly #timer: NodeJS.Timeout | undefined
  readonly #protocolError: boolean
  readonly #warn: (text: string) => void
  /** Named, and not called so far. */
  readonly #uncalled: Set<string>

  /** Throws FaultConfigError. */
  constructor({ faults, tools = [], seed, duration_ms: ms, protocolError = false, ...rest }: ToolFaultsOptions) {
    const { fired, warn = () => undefined } = rest
    this.#warn = warn
    this.#uncalled = new Set([...tools, ...faults.flatMap((fault) => fault.affected_components ?? [])])
    this.#uncalled.delete(EVERY)
    this.#protocolError = protocolError
    this.#placement = this.#chaos.place({
      faults: faults.map((fault, i) => readToolFault(fault, `faults[${i}]`)),
      components: tools,
      sequence: new FaultSequence({ seed }),
      ...(fired && { fired }),
    })
    this.seed = this.#placement.sequence.seed
    if (ms !== undefined) this.#timer = setTimeout(() => this.end(), ms).unref()
  }

  /** From now on every call passes; those that wait go on. */
  end(): void {
    clearTimeout(this.#timer)
    this.#placement.end()
    if (this.#sites.size > 0)
      for (const name of this.#uncalled)
        this.#warn(`no tool ${JSON.stringify(name)} was called: no fault could meet it`)
    this.#uncalled.clear()
  }

  /** A misspelt name would pass for a test that held. */
  #meet(tool: string): void {
    if (this.#uncalled.delete(tool) || this.#sites.has(tool)) return
    const named = nearest(tool, this.#uncalled)
    if (named !== undefined)
      this.#warn(`${JSON.stringify(tool)} is called, and ${JSON.stringify(named)} is named: did you mean it?`)
  }

  /**
   * One call; `send` gives it to the server. Resolves with the message for the client: the server's own bytes unless a
   * fault has changed them. Rejects when the signal aborts, or when `send` does.
   */
  async call(tool: string, id: Id, send: () => Promise<Answer>, signal: AbortSignal): Promise<Buffer | string> {
    this.#meet(tool)
    try {
      const { raw } = await this.#site(tool).call<Answer>(send, signal, (answer, change) => {
        const result = insideToolResult(answer.body['result'], change)
        if (result === answer.body['result']) return answer
        const changed = { ...answer.body, result }
        return { body: changed, raw: Buffer.from(`${JSON.stringify(changed)}\n`) }
      })
      return raw
    } catch (error) {
      if (!(error instanceof InjectedFaultError)) throw error
      return this.#refusal(id, error)
    }
  }

  #refusal(id: Id, error: InjectedFaultError): string {
    if (!this.#protocolError) return JSON.stringify({ jsonrpc: '2.0', id, result: errorResult(error) })
    const code = error.fault_type === 'timeout' ? REQUEST_TIMEOUT : INTERNAL_ERROR
    const retry = retryAfterOf(error)
    const known = (error as { code?: string | number }).code
    const data = {
      ...(isNetworkError(error) ? {} : { status: statusOf(error) }),
      ...(known === undefined ? {} : { code: known }),
      ...(retry === undefined ? {} : { retry_after_seconds: retry }),
    }
    return errorMessage(id, code, textOf(error), data)
  }

  #site(tool: string): AdapterSite {
    const known = this.#sites.get(tool)
    if (known) return known
    const site = callSite(tool, { chaos: this.#chaos })
    this.#sites.set(tool, site)
    return site
  }
}
