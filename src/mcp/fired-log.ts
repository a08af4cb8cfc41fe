/** The log of what a proxy has injected: a line of JSON for each fault that took effect. */
import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import type { WriteStream } from 'node:fs'
import { openForAppending } from '../core/append-file.ts'
import { boundedData, jsonLine } from '../core/foreign.ts'
import type { FiredFault } from '../faults/index.ts'

export interface FiredLog {
  started(seed: string | number): void
  fired(fired: FiredFault): void
  /** Resolves when everything is written. */
  end(): Promise<void>
}

/** Appends. Throws when the file cannot be opened; a disk that fails later is said, and does not end the proxy. */
export function openFiredLog(file: string, say: (text: string) => void): FiredLog {
  const stream = createWriteStream(file, { fd: openForAppending(file) })
  stream.on('error', (error) => say(`the log cannot be written any more: ${error.message}`))
  const write = (event: string, details: object): void =>
    void stream.write(`${jsonLine(boundedData({ time: new Date().toISOString(), event, ...details }))}\n`)
  return {
    started: (seed) => write('started', { seed }),
    fired: ({ component, fault, call, error }) => {
      const { fault_type, mode, duration_ms } = fault
      write('fault_fired', { tool: component, call, fault_type, mode, duration_ms, error: error?.message })
    },
    end: () => ended(stream),
  }
}

async function ended(stream: WriteStream): Promise<void> {
  if (stream.destroyed) return
  stream.end()
  await once(stream, 'close')
}
