/** A Prometheus of its own, from Debian's package: its configuration and data in a folder that goes with it. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'

export interface Prometheus {
  /** The result of an instant query: labels and value of each series. */
  query(expr: string): Promise<{ labels: Record<string, string>; value: number }[]>
  /** The same, once it is what is waited for. Rejects with the last answer after `ms`. */
  until(
    expr: string,
    fits: (found: { labels: Record<string, string>; value: number }[]) => boolean,
    ms?: number,
  ): Promise<void>
  get(path: string): Promise<unknown>
  stop(): Promise<void>
}

/** Why tests that need it cannot run here, for their `skip` option; undefined when they can. */
export function prometheusMissing(): string | undefined {
  const there = ['prometheus', 'promtool'].every((name) => spawnSync(name, ['--version']).status === 0)
  return there ? undefined : "no prometheus and promtool (Debian's package prometheus)"
}

const START_MS = 60_000
const END_MS = 20_000

/** Starts it with this configuration, on loopback, and resolves when it answers. */
export async function startPrometheus(config: object): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-prometheus-'))
  writeFileSync(join(folder, 'prometheus.yml'), stringify(config))
  const port = await freePort()
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder },
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), END_MS)
    await ended
    clearTimeout(late)
    rmSync(folder, { recursive: true, force: true })
  }
  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
    return text.startsWith('{') ? (JSON.parse(text) as unknown) : text
  }
  const query: Prometheus['query'] = async (expr) => {
    const { data } = (await get(`/api/v1/query?query=${encodeURIComponent(expr)}`)) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] }
    }
    return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
  }
  try {
    await patiently(
      () => get('/-/ready'),
      () => true,
      START_MS,
    )
  } catch (error) {
    await stop()
    throw new Error(`prometheus did not start: ${said}`, { cause: error })
  }
  return { query, get, stop, until: (expr, fits, ms = 60_000) => patiently(() => query(expr), fits, ms) }
}

async function patiently<T>(ask: () => Promise<T>, fits: (answer: T) => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms
  for (;;) {
    const answer: unknown = await ask().then(
      (found) => fits(found) || found,
      (error: unknown) => error,
    )
    if (answer === true) return
    if (performance.now() > end)
      throw new Error(`not in ${ms} ms: ${answer instanceof Error ? answer.message : JSON.stringify(answer)}`)
    await sleep(100)
  }
}

/** Prometheus cannot say which port the kernel gave it, so it is told one that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
