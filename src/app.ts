/** The composition root: puts the targets, the commands and this process together. */
import type { Context } from './cli/context.ts'
import { shown } from './core/foreign.ts'

/** Runs one command line; resolves with its exit code. `main` is the script that started this process. */
export async function app(
  argv: readonly string[],
  { main, version }: Pick<Context, 'main' | 'version'>,
): Promise<number> {
  // Somebody who closes our output (`chaos run | head`) must not end a run in the middle: the rest is just not shown.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  // Node would open its inspector for every user of this machine; programs that rotate logs send it from habit.
  process.on('SIGUSR1', () => undefined)
  const context: Context = {
    targets: async () => (await import('./targets/index.ts')).targets,
    main,
    version,
    env: process.env,
    out: (text) => void process.stdout.write(shown(text)),
    err: (text) => void process.stderr.write(shown(text)),
    tty: process.stdout.isTTY,
    columns: process.stdout.columns,
  }
  // What a supervisor starts has no command line to be read.
  if (argv.length === 1 && argv[0] === 'worker') return (await import('./cli/worker.ts')).worker(context)
  return (await import('./cli/program.ts')).runProgram(argv, context)
}
