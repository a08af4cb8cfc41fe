/**
 * `npm run demo`: a small shop on a PostgreSQL of its own, an application that keeps writing to it, and the real daemon,
 * which breaks it every few seconds and puts it back. At the end, the proof that it did.
 */
import { parseArgs } from 'node:util'
import { paintFor } from '../src/observe/paint.ts'
import { play, type Options } from './demo/play.ts'
import { onStopWish } from './demo/signals.ts'
import { startPostgres } from './embedded-postgres.ts'

const USAGE = `npm run demo -- [--cycles N] [--kill]

  --cycles N   ends after N completed runs, instead of at Ctrl-C
  --kill       kills the daemon (kill -9) in the middle of a soak, once; shows what is left, and the recovery
`
const INTRO = [
  'A small shop opens on a PostgreSQL of its own, and an application keeps writing to it.',
  'The chaos daemon breaks it every few seconds (config/demo.yaml), and puts everything back each time.',
  'Ctrl-C ends the demo at any moment: what is in place is rolled back, and a comparison with the start proves it.',
]

const print = (line: string): void => void process.stdout.write(`${line}\n`)
process.exitCode = await demo(process.argv.slice(2))

async function demo(argv: string[]): Promise<number> {
  const options = readOptions(argv)
  if (typeof options === 'number') return options
  const paint = paintFor({ tty: process.stdout.isTTY, env: process.env })
  const stop = new AbortController()
  onStopWish(stop, (text) => print(paint('yellow', text)))
  for (const line of INTRO) print(paint('bold', line))
  const server = await startPostgres()
  try {
    return await play({ server, options, stop: stop.signal, print, paint })
  } finally {
    await server.stop()
  }
}

/** Or the exit code, once it has said what is wrong or how it is called. */
function readOptions(argv: string[]): Options | number {
  try {
    const { values } = parseArgs({
      args: argv,
      options: { cycles: { type: 'string' }, kill: { type: 'boolean' }, help: { type: 'boolean' } },
    })
    const { cycles, kill = false, help = false } = values
    if (help) {
      print(USAGE)
      return 0
    }
    if (cycles !== undefined && !/^[1-9]\d{0,5}$/.test(cycles)) throw new Error('--cycles takes a whole number from 1')
    return { kill, ...(cycles === undefined ? {} : { cycles: Number(cycles) }) }
  } catch (error) {
    print(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
}
