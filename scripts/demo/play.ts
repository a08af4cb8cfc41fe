/** The demo from the shop's opening to the proof. */
import type { Paint } from '../../src/observe/paint.ts'
import type { Postgres } from '../embedded-postgres.ts'
import { startApplication, type Application } from './application.ts'
import { Daemon } from './daemon.ts'
import { killAndRestart } from './kill.ts'
import { differences, extent, takeSnapshot } from './proof.ts'
import { DATABASE, SHOP_SQL } from './shop.ts'
import { View } from './view.ts'
import { Watch } from './watch.ts'

export interface Options {
  /** Completed runs after which it ends; without, it goes on until somebody stops it. */
  cycles?: number
  kill: boolean
}

export interface PlayInput {
  /** A fresh one, which nobody else uses. */
  server: Postgres
  options: Options
  /** Aborts when it must end. */
  stop: AbortSignal
  print(line: string): void
  paint: Paint
}

/** Longest wait for one completed run; an ordinary one takes a few seconds. */
const CYCLE_MS = 60_000
/** Runs that may fail before a demo with cycles gives up. */
const MOST_FAILURES = 3
/** So long it is waited for two runs in their soak at once, which is the worst moment to be killed; then one must do. */
const BOTH_MS = 25_000
const MOST_SHOWN = 20

/** Resolves with the exit code: 0 when nothing differs, and everything asked for was shown unless somebody stopped it. */
export async function play({ server, options, stop, print, paint }: PlayInput): Promise<number> {
  await server.sql(`create database ${DATABASE}`)
  await server.sql(SHOP_SQL, DATABASE)
  const url = server.url(DATABASE)
  const before = await takeSnapshot(url)
  const application = await startApplication(url, before)
  const view = new View(print, paint, application.meter)
  view.tell('shop', 'open: customers and their orders, products, prices and stock change all the time')

  const watch = new Watch()
  const stopped = (): void => watch.end('stopped', { wanted: true })
  stop.addEventListener('abort', stopped)
  if (stop.aborted) stopped()
  const daemon = await Daemon.start({
    url,
    onEvent(event) {
      view.see(event)
      watch.see(event)
    },
    onLine: (line) => view.tell('daemon', line),
    onDeath: (how) => watch.end(`the daemon ended by itself (${how})`),
  })
  await show({ options, watch, kill: () => killAndRestart({ daemon, url, application, view }) })

  view.tell('demo', 'the end: the application stops; the daemon gets SIGTERM and undoes what is in progress')
  const [wrong] = await Promise.all([daemon.stop(), application.stop()])
  const found = await differences(url, () => application.ledger.expected())
  if (watch.over?.wanted === false) wrong.push(watch.over.reason)
  print('')
  for (const line of conclusion({ watch, application, found, wrong }, paint)) print(line)
  if (!options.kill) print('See also: npm run demo -- --kill  (kill -9 in the middle of a soak, and the recovery)')
  return found.length + wrong.length === 0 ? 0 : 1
}

interface End {
  watch: Watch
  application: Application
  /** Differences between what is expected on the database and what is there. */
  found: readonly string[]
  /** What else is not as it should be. */
  wrong: readonly string[]
}

function conclusion({ watch, application: { ledger, meter }, found, wrong }: End, paint: Paint): string[] {
  const others = [...watch.ends].filter(([end]) => end !== 'completed').map(([end, n]) => `, ${n} ${end}`)
  const color = found.length === 0 ? 'green' : 'red'
  return [
    `${count(watch.count('completed'), 'completed run')}${others.join('')}`,
    ...[...meter.failures].map(([message, n]) => `the application failed ${count(n, 'time')}: ${message}`),
    `compared with the start: ${extent(ledger.expected())}`,
    `expected is what was there at the start, with the ${ledger.size} edits that the application itself committed`,
    ...found.slice(0, MOST_SHOWN).map((line) => paint('red', `  ${line}`)),
    ...(found.length > MOST_SHOWN ? [paint('red', `  … and ${found.length - MOST_SHOWN} more`)] : []),
    paint('bold', paint(color, `${found.length} differences`)),
    ...wrong.map((line) => paint('red', line)),
  ]
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}

interface ShowInput {
  options: Options
  watch: Watch
  kill(): Promise<void>
}

async function show({ options: { cycles, kill: killing }, watch, kill }: ShowInput): Promise<void> {
  if (killing) {
    const patience = performance.now() + BOTH_MS
    const harmful = (): boolean => watch.soaking.size > (performance.now() < patience ? 1 : 0)
    await watch.until('a soak', harmful, CYCLE_MS)
    if (watch.over) return
    await kill()
    await watch.until('the recovery', () => watch.recovered, CYCLE_MS)
    if (cycles === undefined) return
  }
  const failures = (): number => watch.count('failed', 'refused', 'ineffective')
  const enough = (): boolean =>
    cycles !== undefined && (watch.count('completed') >= cycles || failures() >= MOST_FAILURES)
  await watch.until(`${cycles} completed runs`, enough, cycles === undefined ? undefined : cycles * CYCLE_MS)
  if (cycles !== undefined && watch.count('completed') < cycles) watch.end('too many runs were not completed')
}
