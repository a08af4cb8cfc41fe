/** Ten thousand schedules that wait: what our schedule costs beside bare node-cron with the same ones. */
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { interleave } from './measure.ts'
import type { Comparison } from './measure.ts'
import { ended, memoryOf, node } from './processes.ts'

const COUNT = 10_000
const ROUNDS = 2
/** An idle process is watched for so long. */
const IDLE_MS = 20_000

interface Cost {
  /** Milliseconds of processor time while nothing was due. */
  idle: number
  /** Megabytes after that. */
  memory: number
  /** Milliseconds until all were scheduled. */
  start: number
}

export async function schedules(): Promise<Comparison[]> {
  const { ours, cron, bare } = await interleave(
    { ours: () => cost(OURS), cron: () => cost(NODE_CRON), bare: () => cost(BARE) },
    { rounds: ROUNDS, warmUp: false, budgetMs: 0 },
  )
  const compare = (
    title: string,
    unit: string,
    key: keyof Cost,
    meaning: string,
    peers: Comparison['peers'],
  ): Comparison => ({
    title: `schedules: ${title}, ${COUNT.toLocaleString('en-US')} schedules`,
    unit,
    better: 'lower',
    ours: { label: 'our schedule', values: ours.map((c) => c[key]) },
    peers,
    meaning,
  })
  const peer = (key: keyof Cost): Comparison['peers'] => [{ label: 'bare node-cron', values: cron.map((c) => c[key]) }]
  const both = (key: keyof Cost): Comparison['peers'] => [
    ...peer(key),
    { label: 'node that waits', values: bare.map((c) => c[key]) },
  ]
  return [
    compare(
      `idle processor time in ${IDLE_MS / 1_000} s`,
      'ms',
      'idle',
      'What waiting costs: one timer over a heap, against one each.',
      peer('idle'),
    ),
    compare('memory', 'MB', 'memory', 'Schedules share their parsed fields and zones.', both('memory')),
    compare('time to schedule all', 'ms', 'start', 'What a start and a reload cost.', peer('start')),
  ]
}

/** Prints how long scheduling took, then sits still; a line on stdin asks for its processor time since then. */
async function cost(setUp: string): Promise<Cost> {
  const script = `
    const begun = performance.now()
    ${setUp}
    console.log(performance.now() - begun)
    setTimeout(() => {
      const from = process.cpuUsage()
      setTimeout(() => {
        const { user, system } = process.cpuUsage(from)
        console.log((user + system) / 1e3)
      }, ${IDLE_MS})
    }, 2_000)
    process.stdin.once('data', () => process.exit(0))`
  const child = node(['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    const lines = createInterface({ input: child.stdout as Readable })[Symbol.asyncIterator]()
    const start = Number((await lines.next()).value)
    const idle = Number((await lines.next()).value)
    const memory = (await memoryOf(child.pid ?? -1, 'VmRSS')) ?? NaN
    child.stdin?.write('end\n')
    await ended(child)
    return { start, idle, memory }
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

const DIST = fileURLToPath(new URL('../dist/', import.meta.url))

/** Every minute of the day, in six zones, two months from now: none is due while we look. */
const EXPRESSIONS = `
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata', 'Pacific/Chatham']
    const month = ((new Date().getUTCMonth() + 2) % 12) + 1
    const all = Array.from({ length: ${COUNT} }, (_, i) => ({
      schedule: \`\${i % 7} \${i % 60} \${Math.floor(i / 60) % 24} 15 \${month} *\`,
      timezone: zones[i % 6],
      name: 'e' + i,
    }))`

const OURS = `
    const { openSchedule } = await import(${JSON.stringify(join(DIST, 'schedule/schedule.js'))})
    const { memoryHandled } = await import(${JSON.stringify(join(DIST, 'schedule/watermark.js'))})
    const { DEFAULT_TIMING } = await import(${JSON.stringify(join(DIST, 'core/experiment.js'))})
    const { systemClock } = await import(${JSON.stringify(join(DIST, 'core/clock.js'))})
    ${EXPRESSIONS}
    const fail = () => { throw new Error('something was due') }
    openSchedule({
      entries: all.map(({ name, ...rest }) => ({ ...DEFAULT_TIMING, experiment: { name }, enabled: true, ...rest })),
      install: 'bench',
      clock: systemClock,
      handled: memoryHandled(),
      events: { due: fail, skipped: fail, closed: fail, stepped: () => {}, problem: fail },
    }).start()`

const NODE_CRON = `
    const { schedule } = await import('node-cron')
    ${EXPRESSIONS}
    const fail = () => { throw new Error('something was due') }
    for (const { schedule: expression, timezone, name } of all) schedule(expression, fail, { timezone, name })`

const BARE = `
    ${EXPRESSIONS}
    void all
    setInterval(() => undefined, 2 ** 30)`
