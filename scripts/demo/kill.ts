/** `--kill`: what a SIGKILL in the middle of a soak leaves on the database, for everybody to see before the recovery. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Application } from './application.ts'
import type { Daemon } from './daemon.ts'
import { differences } from './proof.ts'
import type { View } from './view.ts'

export interface KillInput {
  daemon: Daemon
  /** Of the database. */
  url: string
  application: Application
  view: View
}

/** For how long the application has to live with what is left. */
const LEFT_ALONE_MS = 2_000

/** Kills it, shows what is left, and starts it again. */
export async function killAndRestart({ daemon, url, application, view }: KillInput): Promise<void> {
  view.tell('demo', `kill -9: the daemon (pid ${daemon.pid}) and its workers are gone, in the middle of the soak`)
  await daemon.kill9()
  view.daemonDied()
  const left = await application.paused(() => differences(url, () => application.ledger.expected()))
  view.tell('demo', `what is left on the database: ${left.length} differences`, ...summary(left))
  view.tell('chaos status', ...(await daemon.status()))
  await sleep(LEFT_ALONE_MS)
  view.tell('demo', 'the same daemon is started again')
  daemon.start()
}

/** Rows as counts, and everything else as it is. */
function summary(differences: readonly string[]): string[] {
  const counts = new Map<string, number>()
  const others: string[] = []
  for (const line of differences) {
    const [, table, what] = /^([^:]+): row \S+ (added|removed|changed)/.exec(line) ?? []
    if (table === undefined) others.push(line)
    else counts.set(`${table}: rows ${what ?? ''}`, (counts.get(`${table}: rows ${what ?? ''}`) ?? 0) + 1)
  }
  return [...[...counts].map(([what, n]) => `${what}: ${n}`), ...others].map((line) => `  ${line}`)
}
