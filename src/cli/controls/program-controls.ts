/** The commands that control a running daemon. */
import type { Command, Option } from 'commander'
import type { Context } from '../context.ts'

export interface Common {
  context: Context
  json(): Option
  stateDir(): Option
  finish(code: Promise<number>): Promise<void>
}

const load = () => import('./controls.ts')

export function addControls(program: Command, { context, json, stateDir, finish }: Common): void {
  const command = (usage: string, description: string): Command =>
    program.command(usage).description(description).addOption(json()).addOption(stateDir())

  command(
    'abort <run>',
    'end a run of the daemon now (or the run of an experiment), and wait until it is undone (needs a daemon)',
  )
    .option('--reason <text>', 'said in its report')
    .action((run: string, options: object) => finish(load().then((m) => m.abort(context, run, options))))
  command('run-now <experiment>', 'let the daemon run an experiment now, beside its schedule (needs a daemon)')
    .option('--wait', 'until it is over; its exit code is that of the run')
    .action((name: string, options: object) => finish(load().then((m) => m.runNow(context, name, options))))
  command(
    'reload',
    'let the daemon read its configuration anew; a mistake in it changes nothing (needs a daemon)',
  ).action((options: object) => finish(load().then((m) => m.reload(context, options))))
  command(
    'freeze [reason]',
    'end and undo what runs, and start nothing any more, over restarts too (also without a daemon)',
  )
    .option('--for <duration>', 'ends by itself, e.g. 2h')
    .action((reason: string | undefined, options: object) =>
      finish(load().then((m) => m.freeze(context, reason, options))),
    )
  command('unfreeze', 'start experiments again (also without a daemon)').action((options: object) =>
    finish(load().then((m) => m.unfreeze(context, options))),
  )
  command('disable <experiment>', 'do not start an experiment, over restarts too (needs a daemon)')
    .option('--until <time>', 'ends by itself: a time, or a duration from now such as 3d')
    .action((name: string, options: object) => finish(load().then((m) => m.disable(context, name, options))))
  command('enable <experiment>', 'start it on its schedule again (needs a daemon)').action(
    (name: string, options: object) => finish(load().then((m) => m.enable(context, name, options))),
  )
  command(
    'trust [experiment]',
    'with settings.trust: require, let an experiment break the system that it has found (needs a daemon)',
  )
    .option('--all', 'every one that waits')
    .action((name: string | undefined, options: object) => finish(load().then((m) => m.trust(context, name, options))))
}
