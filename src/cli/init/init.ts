/** `chaos init [URL]`: writes a first configuration, for what is found on the target of a URL, or to be filled in by hand. */
import { dirname } from 'node:path'
import { interpolate } from '../../config/interpolate.ts'
import { loadConfig, parseConfig } from '../../config/load.ts'
import { ConfigError, messageOf, RefusedError } from '../../core/errors.ts'
import { visibleLines } from '../../core/foreign.ts'
import type { Experiment } from '../../core/experiment.ts'
import { protectedNames } from '../../core/guard.ts'
import type { FromUrl, Suggestion } from '../../core/survey.ts'
import type { Target } from '../../core/target.ts'
import type { Supervisor } from '../../supervisor/supervisor.ts'
import { isAnswer } from '../../engine/survey.ts'
import type { Context } from '../context.ts'
import { firstConfig } from './first-config.ts'
import type { Entry, FirstConfig } from './first-config.ts'
import { nextSteps, written } from './init-text.ts'
import type { Draft } from './init-text.ts'
import { refuseExisting, writeNewFile } from './new-file.ts'
import { onlooker } from '../read-only-supervisor.ts'

export interface InitOptions {
  output: string
  schedule: string
  allow: string[]
  force?: boolean
  stdout?: boolean
  stateDir?: string
}

export async function init(context: Context, url: string | undefined, options: InitOptions): Promise<number> {
  const { output, force = false, stdout = false } = options
  if (url !== undefined && hasPassword(url)) context.err(PASSWORD_SHOWN)
  if (!stdout && !force) await refuseExisting(output)
  const work = new Init(context, options, await context.targets())
  await work.checkOptions()
  const draft = url === undefined ? work.template() : await work.look(url)
  const text = work.textOf(draft)
  if (stdout) {
    await work.parse(draft, text)
    context.out(text)
  } else {
    await writeNewFile({ path: output, text, force, check: (path) => work.load(draft, path) })
  }
  const say = (line: string): void => (stdout ? context.err(line) : context.out(line))
  if (!stdout) say(written(output, draft))
  say(nextSteps(stdout ? 'chaos.yaml' : output, draft, context.env))
  return 0
}

const PASSWORD_SHOWN =
  "warning: the password of that URL stands in the list of processes while this runs, and in your shell's history: write it as '${DATABASE_PASSWORD}' (in single quotes) and set that variable, or leave it out and use password: in the file\n"

/** Written out, and not as a variable or a file. */
function hasPassword(url: string): boolean {
  const [, password] = /^[a-z][a-z0-9+.-]*:\/\/[^:@/?#]*:([^@]+)@/i.exec(url) ?? /[?&]password=([^&]+)/i.exec(url) ?? []
  return password !== undefined && !password.startsWith('${')
}

class Init {
  readonly #context: Context
  readonly #options: InitOptions
  readonly #targets: readonly Target[]

  constructor(context: Context, options: InitOptions, targets: readonly Target[]) {
    this.#context = context
    this.#options = options
    this.#targets = targets
  }

  /** What is wrong with --schedule or --allow is said before anybody waits for a connection. */
  async checkOptions(): Promise<void> {
    const draft = this.template()
    await this.parse(draft, this.textOf(draft)).catch((error: unknown) => {
      if (!(error instanceof ConfigError)) throw error
      const wrong = error.problems.find((p) => /schedule$|allow/.test(p.path)) ?? error.problems[0]
      if (!wrong) throw error
      const option = wrong.path.includes('allow') ? '--allow' : '--schedule'
      throw usage(option, wrong.message)
    })
  }

  /** For the first target that can be named by a URL: everything it suggests, with nothing looked at. */
  template(): Draft {
    for (const target of this.#targets) {
      const from = target.url?.read(target.url.form)
      if (from) return { target, from, entries: entriesOf(target.suggest?.() ?? []), leftOut: [] }
    }
    throw usage('', 'no target of this version has a first configuration')
  }

  /** Only what can be planned on the target as it is now. */
  async look(given: string): Promise<Draft> {
    const { target, from } = this.#understand(given)
    this.#refuseProtected(target, from)
    const blank: Draft = { target, from, entries: entriesOf(target.suggest?.() ?? []), leftOut: [] }
    const [experiment] = await this.parse(blank, this.textOf(blank))
    if (!experiment) throw usage('URL', `target ${target.name} has no first configuration`)
    const supervisor = await onlooker(this.#context, this.#options.stateDir, [experiment])
    const survey = await supervisor.looks.survey(experiment)
    const draft: Draft = { ...blank, entries: [], summary: survey.summary }
    for (const suggestion of target.suggest?.(survey) ?? []) {
      const fit = await this.#fit(draft, suggestion, supervisor)
      if (typeof fit === 'string') draft.leftOut.push(`${suggestion.skill} is left out. ${fit}`)
      else draft.entries.push(fit)
    }
    if (draft.entries.length === 0) {
      for (const reason of draft.leftOut) this.#context.err(`${visibleLines(reason)}\n`)
      throw new RefusedError(
        'REFUSED_UNSUITABLE',
        `nothing on ${target.endpoint(from.config).key} can be touched by this role, so nothing was written`,
      )
    }
    return draft
  }

  textOf({ target, from, entries, leftOut, summary }: Draft): string {
    const config: FirstConfig = {
      head: [
        summary === undefined
          ? `A template for target ${target.name}, by chaos init.`
          : `By chaos init, for ${target.endpoint(from.config).key}: ${summary}.`,
        'Everything in it may be changed: chaos validate says what is wrong, chaos run --dry-run what would happen.',
        `${Object.keys(from.env).join(', ')} is filled in from the environment, so that no password stands here.`,
      ],
      target: target.name,
      targetConfig: from.written,
      schedule: this.#options.schedule,
      allow: this.#options.allow,
      experiments: entries,
      tail: leftOut,
    }
    return firstConfig(config)
  }

  async parse(draft: Draft, text: string): Promise<Experiment[]> {
    const config = await parseConfig(this.#options.output, text, { targets: this.#targets, env: this.#env(draft) })
    return config.experiments.map((e) => e.experiment)
  }

  async load(draft: Draft, path: string): Promise<void> {
    await loadConfig(path, { targets: this.#targets, env: this.#env(draft), require: 'schedule' })
  }

  #env({ from }: Draft): NodeJS.ProcessEnv {
    return { ...this.#context.env, ...from.env }
  }

  /** The URL is never shown: where it is not understood, nobody knows which part of it is the password. */
  #understand(given: string): { target: Target; from: FromUrl } {
    const { text: url, problems } = interpolate(given, {
      env: this.#context.env,
      folder: dirname(this.#options.output),
    })
    const [problem] = problems
    if (problem !== undefined) throw usage('URL', problem)
    for (const target of this.#targets) {
      const from = target.url?.read(url)
      if (from) return { target, from }
    }
    const forms = this.#targets.flatMap((t) => t.url?.form ?? []).join(' or ')
    const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0]
    throw usage(
      'URL',
      `is not understood${scheme === undefined ? '' : ` (${scheme}…)`}: write ${forms}, special characters in user and password as %40, %2F, …`,
    )
  }

  #refuseProtected(target: Target, { config }: FromUrl): void {
    const names = protectedNames(target.endpoint(config).names, { allow: this.#options.allow, protected: [] })
    if (names.length === 0) return
    throw new RefusedError(
      'REFUSED_PROTECTED',
      `${names.join(', ')} looks like production: nothing was looked at, and nothing written. If it really may be broken, say so with ${names.map((n) => `--allow ${n}`).join(' ')}, which also goes into the file`,
    )
  }

  /** The suggestion with the first params whose plan is whole, or why there are none. */
  async #fit(draft: Draft, suggestion: Suggestion, supervisor: Supervisor): Promise<Entry | string> {
    let why = suggestion.otherwise
    for (const params of suggestion.params) {
      const entry = { suggestion, params }
      const [experiment] = await this.parse(draft, this.textOf({ ...draft, entries: [entry] }))
      if (!experiment) break
      try {
        const { steps, skipped, notes } = await supervisor.looks.preview(experiment, 'init')
        if (steps.length > 0 && skipped.length === 0) return entry
        why = skipped[0]?.reason ?? notes[0]
      } catch (error) {
        if (!isAnswer(error)) throw error
        why = messageOf(error)
      }
    }
    return why ?? 'nothing there can take it'
  }
}

function entriesOf(suggestions: readonly Suggestion[]): Entry[] {
  return suggestions.flatMap((suggestion) => {
    const [params] = suggestion.params
    return params ? [{ suggestion, params }] : []
  })
}

function usage(path: string, message: string): ConfigError {
  return new ConfigError([{ file: 'init', line: 0, column: 0, path, message }], 'USAGE')
}
