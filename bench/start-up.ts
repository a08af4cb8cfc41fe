/** What starting costs: `--version`, `--help` and `validate` beside a bare Node process, and an idle daemon beside one that only waits. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { interleave } from './measure.ts'
import type { Comparison, Series } from './measure.ts'
import { ended, MAIN, megabytesIn, memoryOf, node } from './processes.ts'
import { withFolder } from './temporary.ts'

const HELP = [MAIN, '--help']
const VERSION = [MAIN, '--version']
const EXAMPLE = fileURLToPath(new URL('../config/example-db.yaml', import.meta.url))
const VALIDATE = [MAIN, 'validate', EXAMPLE]
const BARE = ['-e', '0']
const COMMANDER = ['--input-type=module', '-e', "import 'commander'"]
const WAITING = ['-e', 'setInterval(() => undefined, 2 ** 30)']

const TIME_ROUNDS = 15
const PEAK_ROUNDS = 5
const IDLE_ROUNDS = 4
/** An idle process is looked at so long after it was ready. */
const SETTLE_MS = 1_000

export async function startUp(): Promise<Comparison[]> {
  return withFolder(async (folder) => [...(await times()), await helpMemory(folder), await idleMemory(folder)])
}

async function times(): Promise<Comparison[]> {
  const { version, help, validate, bare, commander } = await interleave(
    {
      version: () => wallTime(VERSION),
      help: () => wallTime(HELP),
      validate: () => wallTime(VALIDATE),
      bare: () => wallTime(BARE),
      commander: () => wallTime(COMMANDER),
    },
    { rounds: TIME_ROUNDS, budgetMs: 40_000 },
  )
  const timeOf = (command: string, values: readonly number[], meaning: string, more: Series[] = []): Comparison => ({
    title: `start-up: time of ${command}`,
    unit: 'ms',
    better: 'lower',
    ours: { label: command, values },
    peers: [{ label: 'bare node -e 0', values: bare }, ...more],
    meaning,
  })
  const floor = { label: 'node that imports commander only', values: commander }
  return [
    timeOf('chaos --version', version, 'What is loaded before the command line is looked at.'),
    timeOf(
      'chaos --help',
      help,
      'What a command costs before it does anything; commander, which parses the command line, is the floor.',
      [floor],
    ),
    timeOf('chaos validate', validate, 'What it costs to read a configuration: zod, yaml, and what the skills accept.'),
  ]
}

async function wallTime(args: readonly string[]): Promise<number> {
  const begun = performance.now()
  await ended(node(args, { stdio: 'ignore' }))
  return performance.now() - begun
}

async function helpMemory(folder: string): Promise<Comparison> {
  // At its end the process itself says how much it has used: from outside, the last moment is easily missed.
  const hook = join(folder, 'peak.cjs')
  await writeFile(
    hook,
    `process.on('exit', () => require('fs').writeSync(3, require('fs').readFileSync('/proc/self/status')))\n`,
  )
  const { help, bare, commander } = await interleave(
    { help: () => peak(hook, HELP), bare: () => peak(hook, BARE), commander: () => peak(hook, COMMANDER) },
    { rounds: PEAK_ROUNDS },
  )
  return {
    title: 'start-up: peak memory of chaos --help',
    unit: 'MB',
    better: 'lower',
    ours: { label: 'chaos --help', values: help },
    peers: [
      { label: 'bare node -e 0', values: bare },
      { label: 'node that imports commander only', values: commander },
    ],
    meaning: 'Whether drivers, schemas and schedulers stay unloaded until a command needs them.',
  }
}

async function peak(hook: string, args: readonly string[]): Promise<number> {
  const child = node(['--require', hook, ...args], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] })
  const [status] = await Promise.all([text(child.stdio[3] as Readable), ended(child)])
  return megabytesIn(status, 'VmHWM') ?? NaN
}

async function idleMemory(folder: string): Promise<Comparison> {
  // Where the experiment points: an idle daemon opens no connection, and here it would be seen.
  let connections = 0
  const target = createServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(target, 'listening')
  try {
    const config = await idleConfig(folder, (target.address() as AddressInfo).port)
    const { daemon, bare } = await interleave(
      {
        daemon: () => idle([MAIN, 'daemon', config, '--json', '--state-dir', join(folder, 'state')], ready),
        bare: () => idle(WAITING),
      },
      { rounds: IDLE_ROUNDS },
    )
    if (connections > 0) throw new Error(`the idle daemon opened ${connections} connections to its target`)
    return {
      title: 'start-up: memory of an idle daemon (one experiment, due in two months)',
      unit: 'MB',
      better: 'lower',
      ours: { label: 'chaos daemon', values: daemon },
      peers: [{ label: 'bare node that waits', values: bare }],
      meaning: 'What it costs to have the daemon sit beside a service all year; no connection was opened.',
    }
  } finally {
    target.close()
  }
}

async function idleConfig(folder: string, port: number): Promise<string> {
  const file = join(folder, 'idle.yaml')
  await writeFile(
    file,
    `experiments:
  - name: idle
    target: database
    target_config: {connection_url: "postgres://chaos@127.0.0.1:${port}/staging"}
    skills: [{skill_name: db.insert_load}]
    schedule: "0 0 0 1 ${inTwoMonths()} *"
`,
  )
  return file
}

/** A month that is neither this nor the next one: nothing gets due while we measure. */
function inTwoMonths(): number {
  return ((new Date().getUTCMonth() + 2) % 12) + 1
}

/** Memory of a process that has nothing to do, some time after it was ready. It is then told to end, and must. */
async function idle(args: readonly string[], isReady?: (child: ChildProcess) => Promise<void>): Promise<number> {
  const child = node(args, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await isReady?.(child)
    await sleep(SETTLE_MS)
    const megabytes = await memoryOf(child.pid ?? -1, 'VmRSS')
    if (megabytes === undefined) throw new Error(`${args.join(' ')} ended by itself`)
    return megabytes
  } finally {
    child.kill('SIGTERM')
    if (isReady) await ended(child)
    else await once(child, 'exit')
  }
}

async function ready(child: ChildProcess): Promise<void> {
  const lines = createInterface({ input: child.stdout as Readable })
  for await (const line of lines) {
    if ((JSON.parse(line) as { type: string }).type === 'daemon.ready') {
      child.stdout?.resume()
      return
    }
  }
  throw new Error('the daemon ended before it was ready')
}
