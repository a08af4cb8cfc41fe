/** argv → command → exit code. Every command's code is loaded only when it is called. */
import { Command, CommanderError, Option } from 'commander'
import { CodedError, messageOf } from '../core/errors.ts'
import type { Context } from './context.ts'

const USAGE = 2
/** EX_SOFTWARE of sysexits: a bug of ours, not of the caller's. */
const INTERNAL = 70

export async function runProgram(argv: readonly string[], context: Context): Promise<number> {
  let exitCode = 0
  const program = build(context, (code) => (exitCode = code))
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
    context.err(`${messageOf(error)}\n`)
    if (error instanceof CodedError) return error.exitCode
    if (error instanceof Error && error.stack !== undefined) context.err(`${error.stack}\n`)
    return INTERNAL
  }
}

function build(context: Context, done: (exitCode: number) => void): Command {
  const program = new Command('chaos')
    .description('Breaks staging systems on a schedule, measures what happens, and always puts them back.')
    .version(context.version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => context.out(text), writeErr: (text) => context.err(text) })
    .showSuggestionAfterError()
  const stateDir = (): Option =>
    new Option('--state-dir <dir>', 'where journals and reports are kept (or CHAOS_STATE_DIR)')
  const json = (): Option => new Option('--json', 'machine-readable output')
  const finish = (code: Promise<number>): Promise<void> => code.then(done)

  program
    .command('run <config>')
    .description('run the experiments of a file now, one after the other')
    .option('--dry-run', 'connect, discover and plan; change nothing')
    .option('--only <name>', 'run just this experiment')
    .option('--seed <seed>', 'repeat the choices of an earlier run')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string, options: object) => finish(import('./run.ts').then((m) => m.run(context, file, options))))
  program
    .command('daemon <config>')
    .description('recover, then run experiments on their cron schedules')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string, options: object) =>
      finish(import('./daemon.ts').then((m) => m.daemon(context, file, options))),
    )
  program
    .command('validate <config>')
    .description('check a file without connecting to anything')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string, options: object) =>
      finish(import('./validate.ts').then((m) => m.validate(context, file, options))),
    )
  program
    .command('list-skills')
    .description('what can be broken')
    .option('--target <target>', 'only the skills of one target')
    .addOption(json())
    .addOption(stateDir())
    .action((options: object) => finish(import('./list-skills.ts').then((m) => m.listSkills(context, options))))
  program
    .command('recover')
    .description('undo what a crash left')
    .option('--run <run>', 'only this run')
    .option('--dry-run', 'show what would be undone')
    .option('--accept-loss', 'what is unreadable in the damaged journal of --run may be lost: ends that run')
    .option('--note <text>', 'why, for its report')
    .addOption(json())
    .addOption(stateDir())
    .action((options: object) => finish(import('./recover.ts').then((m) => m.recover(context, options))))
  program
    .command('report [run]')
    .description('what a run did')
    .option('--last', 'the newest run')
    .option('--list', 'all runs, a line each')
    .addOption(json())
    .addOption(stateDir())
    .action((run: string | undefined, options: object) =>
      finish(import('./report.ts').then((m) => m.report(context, run, options))),
    )
  program
    .command('status')
    .description('is a daemon up, and is everything put back? (exit code 0 up and clean, 4 pending undo, 1 no daemon)')
    .addOption(json())
    .addOption(stateDir())
    .action((options: object) => finish(import('./status.ts').then((m) => m.status(context, options))))
  program.command('worker', { hidden: true }).action(() => finish(import('./worker.ts').then((m) => m.worker(context))))
  return program
}
