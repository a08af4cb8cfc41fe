/** The systemd unit of this repository, installed in a lab host, and what it says there. */
import type { ChildProcess } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Host } from '../labs/hosts.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
export const UNIT = join(repository, 'systemd/chaos.service')
const PACKAGE = '/opt/chaos-agents'

/** The package and this Node as the host sees them. */
export const packageBinds: Record<string, string> = {
  [process.execPath]: '/usr/local/bin/node',
  ...Object.fromEntries(['dist', 'node_modules', 'package.json'].map((p) => [join(repository, p), join(PACKAGE, p)])),
}

/** A line of the daemon's log. */
export interface Line {
  msg: string
  pid: number
  time: string
  phase?: string
  run?: string
  slot?: string
  cause?: string
  pending?: number
  outcome?: string
  /** When the test read it, of `performance.now()`. */
  read: number
}

/** How long anything may take that the test waits for. */
const PATIENCE_MS = 120_000

export class ChaosUnit {
  readonly #host: Host
  readonly #lines: Line[] = []
  #follower: ChildProcess | undefined

  constructor(host: Host) {
    this.#host = host
  }

  /** As docs/service.md says, with shorter times than an operator would want. */
  async install(config: string, password: string): Promise<void> {
    const at = (path: string): string => join(this.#host.root, path)
    for (const folder of ['etc/chaos-agents', 'etc/systemd/system/chaos.service.d', 'usr/local/bin'])
      mkdirSync(at(folder), { recursive: true })
    symlinkSync(join(PACKAGE, 'dist/main.js'), at('usr/local/bin/chaos'))
    copyFileSync(UNIT, at('etc/systemd/system/chaos.service'))
    writeFileSync(
      at('etc/systemd/system/chaos.service.d/lab.conf'),
      '[Service]\nWatchdogSec=4\nRestartSec=200ms\nLoadCredential=db-password:/etc/chaos-agents/db-password\n',
    )
    writeFileSync(at('etc/chaos-agents/db-password'), `${password}\n`, { mode: 0o600 })
    this.configure(config)
    await this.#host.sh('systemctl daemon-reload; sync')
  }

  configure(config: string): void {
    writeFileSync(join(this.#host.root, 'etc/chaos-agents/chaos.yaml'), config)
  }

  systemctl(...args: string[]): ReturnType<Host['run']> {
    return this.#host.run('systemctl', ...args)
  }

  async show(property: string): Promise<string> {
    return (await this.systemctl('show', '-P', property, 'chaos.service')).out.trim()
  }

  async pid(): Promise<number> {
    return Number(await this.show('MainPID'))
  }

  /** Reads the log of this boot; again after the host was down. */
  follow(): void {
    this.#follower?.kill('SIGKILL')
    const follower = this.#host.start('journalctl', '-f', '--no-tail', '-o', 'cat', '-u', 'chaos.service')
    this.#follower = follower
    createInterface({ input: follower.stdout! }).on('line', (text) => {
      if (text.startsWith('{')) this.#lines.push({ ...(JSON.parse(text) as Line), read: performance.now() })
    })
  }

  /** Where the log is now; `until` looks behind such a place. */
  get mark(): number {
    return this.#lines.length
  }

  /** What it has said since such a place. */
  since(mark: number): readonly Line[] {
    return this.#lines.slice(mark)
  }

  async until(fits: (line: Line) => boolean, mark: number): Promise<Line> {
    const end = Date.now() + PATIENCE_MS
    for (;;) {
      const found = this.#lines.slice(mark).find(fits)
      if (found) return found
      if (Date.now() > end) {
        const log = (await this.#host.run('journalctl', '-n', '40', '-o', 'cat', '-u', 'chaos.service')).out
        throw new Error(`the log does not say it\n${log}`)
      }
      await sleep(5)
    }
  }

  /** Stops it and forgets what systemd remembers of its failures. */
  async reset(): Promise<void> {
    await this.systemctl('stop', 'chaos.service')
    await this.systemctl('reset-failed', 'chaos.service')
  }

  close(): void {
    this.#follower?.kill('SIGKILL')
  }
}

export const phase =
  (name: string) =>
  (line: Line): boolean =>
    line.msg === 'run.phase' && line.phase === name

export const says =
  (message: string) =>
  (line: Line): boolean =>
    line.msg === message
