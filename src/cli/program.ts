/** argv → command → exit code. Every command's code is loaded only when it is called. */
import { Command, CommanderError, Option } from 'commander'
import { NOT_HERE } from '../config/later.ts'
import { CodedError } from '../core/errors.ts'
import { maskOf } from '../core/filled.ts'
import type { Filled } from '../core/filled.ts'
import type { Context } from './context.ts'
import { failed } from './failed.ts'
import type { StopOptions } from './controls/stop.ts'
import { addControls } from './controls/program-controls.ts'
import type { InitOptions } from './init/init.ts'
import { reportEither, runEither } from './experiment-kinds.ts'
import type { ReportEitherOptions } from './experiment-kinds.ts'
import type { ExperimentOptions } from './faults/experiment.ts'
import type { InjectCommandOptions } from './faults/inject.ts'
import { addMcpProxy } from './faults/program-mcp-proxy.ts'

const USAGE = 2
const FAULTS = ['latency', 'error', 'timeout', 'partial_failure', 'resource_exhaustion', 'data_corruption']

export async function runProgram(argv: readonly string[], outer: Context): Promise<number> {
  let exitCode = 0
  let mask = maskOf([])
  const known = new Map<string, Filled>()
  const context: Context = {
    ...outer,
    out: (text) => outer.out(mask.text(text)),
    err: (text) => outer.err(mask.problem(text)),
    learn(filled) {
      for (const one of filled) known.set(JSON.stringify(one), one)
      mask = maskOf([...known.values()])
    },
  }
  const program = build(context, (code) => (exitCode = code))
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
    return failed(error, context)
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
  const jsonOutput = (): Option => new Option('--json-output', 'the result of --experiment or --experiment-id as JSON')
  const finish = (code: Promise<number>): Promise<void> => code.then(done)

  program
    .command('run [config]')
    .description('run the experiments of a file now, one after the other; with --experiment, one inside an application')
    .option('--experiment <file>', 'run an experiment inside an application instead (YAML or JSON)')
    .addOption(jsonOutput())
    .option('--dry-run', 'connect, discover and plan; change nothing')
    .option('--only <name>', 'run just this experiment')
    .option('--seed <seed>', 'repeat the choices of an earlier run')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string | undefined, options: ExperimentOptions) => finish(runEither(context, file, options)))
  program
    .command('daemon <config>')
    .description('recover, then run experiments on their cron schedules')
    .option('--pid-file <file>', 'write its pid there')
    .option('--detach', 'go on in the background; returns when it is ready')
    .option('--log-file <file>', 'with --detach: where its log goes')
    .addOption(new Option('--detached').hideHelp())
    .addOption(json())
    .addOption(new Option('--pretty', 'lines for people, also where the output is no terminal').conflicts('json'))
    .addOption(stateDir())
    .action((file: string, options: object) =>
      finish(import('./daemon/daemon.ts').then((m) => m.daemon(context, file, options))),
    )
  program
    .command('stop')
    .description('stop the daemon and wait until everything is undone (exit code 4 if something is not, 1 no daemon)')
    .option('--pid-file <file>', 'the daemon of this pid file')
    .option('--timeout <duration>', 'longest wait; the daemon is never killed', '6m')
    .addOption(json())
    .addOption(stateDir())
    .action((options: StopOptions) => finish(import('./controls/stop.ts').then((m) => m.stop(context, options))))
  program
    .command('validate <config>')
    .description('check a file without connecting to anything')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string, options: object) =>
      finish(import('./validate.ts').then((m) => m.validate(context, file, options))),
    )
  program
    .command('discover <config>')
    .description("what the agents see of each experiment's target, and what each skill could touch; changes nothing")
    .option('--only <name>', 'just the target of this experiment')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string, options: object) =>
      finish(import('./discover.ts').then((m) => m.discover(context, file, options))),
    )
  program
    .command('init [url]')
    .description('write a first configuration: for the target of this URL as it is, else a template')
    .option('--output <file>', 'the file to write', 'chaos.yaml')
    .option('--force', 'replace the file if it is there')
    .option('--stdout', 'print it instead of writing a file')
    .option(
      '--schedule <cron>',
      'when the first experiment is due: second minute hour day month weekday',
      '0 0 2 * * *',
    )
    .option('--allow <name>', 'a host or database that may be broken although its name says production', collect, [])
    .addOption(stateDir())
    .action((url: string | undefined, options: InitOptions) =>
      finish(import('./init/init.ts').then((m) => m.init(context, url, options))),
    )
  program
    .command('schedule <config>')
    .description('every run of the days to come, what will not run and why; connects to nothing')
    .option('--days <days>', 'how far to look ahead (30)')
    .option('--ics', 'as a calendar file')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string, options: object) =>
      finish(import('./schedule/schedule.ts').then((m) => m.schedule(context, file, options))),
    )
  program
    .command('list-skills')
    .description('what can be broken')
    .option('--target <target>', 'only the skills of one target')
    .addOption(json())
    .addOption(stateDir())
    .action((options: object) => finish(import('./list-skills.ts').then((m) => m.listSkills(context, options))))
  // Promised, and asked for: commander would only say that it does not know it.
  program
    .command('plan', { hidden: true })
    .allowUnknownOption()
    .argument('[words...]')
    .action(() => {
      throw new CodedError('USAGE', `chaos plan ${NOT_HERE}: chaos init URL writes a first configuration`)
    })
  program
    .command('recover')
    .description('undo what a crash left')
    .option('--run <run>', 'only this run')
    .option('--dry-run', 'show what would be undone')
    .option('--retry', 'try again now, also what is quarantined because its undo kept killing its worker')
    .option('--by-hand <file>', 'with --run: write the commands that a person can undo it with, into a new file')
    .option('--target-config <file>', 'with --run: where its target is now, as YAML or JSON of a target_config')
    .option('--accept-identity', 'with --run: it is the same system, although it says otherwise')
    .option('--accept-residue', 'with --run: leave what is pending as it is (needs --note)')
    .option('--accept-loss', 'what is damaged in the journal of --run may be lost: ends that run (needs --note)')
    .option('--step <number>', 'with --retry, --accept-residue or --by-hand: only this step')
    .option('--note <text>', 'why, for the report')
    .addOption(json())
    .addOption(stateDir())
    .action((options: object) => finish(import('./recover/recover.ts').then((m) => m.recover(context, options))))
  program
    .command('report [run]')
    .description('what a run did')
    .option('--last', 'the newest run')
    .option('--list', 'all runs, a line each')
    .option('--experiment-id <id>', 'an experiment inside an application instead')
    .addOption(jsonOutput())
    .addOption(json())
    .addOption(stateDir())
    .action((run: string | undefined, options: ReportEitherOptions) => finish(reportEither(context, run, options)))
  program
    .command('inject')
    .description('inject one fault into this process, now, and show what it raises')
    .addOption(new Option('--fault <type>', 'the fault').choices(FAULTS).makeOptionMandatory())
    .option('--duration <ms>', 'how long latency waits, or a timeout hangs', '500')
    .option('--error-code <code>', 'code of an error fault', '500')
    .option('--message <text>', 'message of what is raised')
    .option('--target <component>', 'component that it is said to happen in', '*')
    .action((options: InjectCommandOptions) =>
      finish(import('./faults/inject.ts').then((m) => m.inject(context, options))),
    )
  program
    .command('sweep <config>')
    .description('what carries our marks on the targets of a file, whatever the journals say')
    .option('--remove', 'end what belongs to no live run of this install')
    .option('--install <id>', 'with --remove: of this install instead (make sure that it is not running)')
    .option('--older-than <duration>', 'with --remove: what is younger may still be looking', '1m')
    .option('--only <name>', 'only the target of this experiment')
    .addOption(json())
    .addOption(stateDir())
    .action((file: string, options: object) =>
      finish(import('./sweep.ts').then((m) => m.sweep(context, file, options))),
    )
  program
    .command('selftest')
    .description('break a sandbox with every skill, kill the worker at every record of the journal, show what is left')
    .option('--quick', 'a few kills of each skill')
    .option('--url <url>', 'a database that may be broken (otherwise a PostgreSQL of its own)')
    .addOption(json())
    .action((options: object) => finish(import('./selftest.ts').then((m) => m.selftest(context, options))))
  program
    .command('digest')
    .description('what ran, what did not and why, what took longer to undo, what is pending (exit code 4)')
    .option('--since <duration>', 'how far back', '24h')
    .addOption(json())
    .addOption(stateDir())
    .action((options: object) => finish(import('./digest.ts').then((m) => m.digest(context, options))))
  program
    .command('status')
    .description(
      'what is up, what is in place, what is not undone? (exit code 0 running normally, 4 not undone, 1 nobody is up or answers)',
    )
    .addOption(json())
    .addOption(stateDir())
    .action((options: object) => finish(import('./controls/status.ts').then((m) => m.status(context, options))))
  addMcpProxy(program, { context, finish })
  addControls(program, { context, json, stateDir, finish })
  // Of a program of other targets; the built one asks before it makes a command line (app.ts).
  program.command('worker', { hidden: true }).action(() => finish(import('./worker.ts').then((m) => m.worker(context))))
  return program
}

/** For options that may be given several times. */
function collect(value: string, values: string[]): string[] {
  return [...values, value]
}
