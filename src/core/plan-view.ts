/** The part of a plan that is shown: counts, and the first few of each list. Its size is bounded, however large the target is. */
import { cutTo, jsonLine } from './foreign.ts'
import type { Resource, Skipped } from './skill.ts'

/** A step as people see it. */
export interface StepView {
  step: number
  skill: string
  resource: string
  describe: string
}

interface Lists {
  /** What the filters leave. */
  resources: Resource[]
  steps: StepView[]
  skipped: (Skipped & { skill: string })[]
  notes: string[]
}

/** A plan as people see it: of each list the first, with texts that may be cut. Nothing is decided or undone by it. */
export interface PlanView extends Lists {
  target: string
  /** Of the one system; with `places` each of them has its own. */
  identity: Record<string, string | null>
  summary: string
  /** Where the configuration names several systems. */
  places?: PlaceView[]
  /** How many there are: resources of each kind, steps and skipped resources of each skill. */
  counts: { resources: Counts; steps: Counts; skipped: Counts; notes: number; places?: number }
  seed: string
}

/** One of the systems of a run. */
export interface PlaceView {
  place: string
  endpoint: string
  identity: Record<string, string | null>
  summary: string
}

export type Counts = Record<string, number>

/**
 * The most that is named of each list, and how many bytes that may be as a line of JSON; one is named in any case. The whole
 * view is less than 100 kB, but for the seed, which is the operator's own.
 */
const FIRST = {
  steps: { most: 100, bytes: 28_000 },
  resources: { most: 100, bytes: 14_000 },
  places: { most: 100, bytes: 10_000 },
  skipped: { most: 50, bytes: 20_000 },
  notes: { most: 50, bytes: 10_000 },
  identity: { most: 20, bytes: 3_000 },
}
/** Characters of a text, and of a kind. */
const LONGEST = 500
const LONGEST_KIND = 40
/** Characters of the statements that lift a reason: half of them would be another statement, so they are left out. */
const LONGEST_FIX = 2_000
/** Kinds and skills that are counted by name. */
const MOST_COUNTED = 20
const REST = 'others'

/** Looks once at each resource, step and skipped resource. */
export function viewOf(plan: Omit<PlanView, 'counts'>): PlanView {
  const { resources, steps, skipped, notes } = plan
  return {
    target: plan.target,
    identity: Object.fromEntries(first('identity', Object.entries(plan.identity), shortPart)),
    summary: short(plan.summary),
    ...(plan.places ? { places: first('places', plan.places, shortPlace) } : {}),
    resources: first('resources', resources, shortResource),
    steps: first('steps', steps, shortStep),
    skipped: first('skipped', skipped, shortSkipped),
    notes: first('notes', notes, short),
    counts: {
      resources: countsOf(resources.map(({ kind }) => kind)),
      steps: countsOf(steps.map(({ skill }) => skill)),
      skipped: countsOf(skipped.map(({ skill }) => skill)),
      notes: notes.length,
      ...(plan.places ? { places: plan.places.length } : {}),
    },
    seed: plan.seed,
  }
}

export function totalOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0)
}

/** `9,900 more: 9,000 db.insert_load, 900 db.update_load`: what is counted and not among the `named`. Undefined for none. */
export function moreText(counts: Counts, named: readonly string[]): string | undefined {
  const shown = new Map(Object.entries(countsOf(named)))
  const left = Object.entries(counts)
    .map(([name, n]) => ({ name, n: n - (shown.get(name) ?? 0) }))
    .filter(({ n }) => n > 0)
  if (left.length === 0) return undefined
  const text = (n: number): string => n.toLocaleString('en-US')
  const total = left.reduce((sum, { n }) => sum + n, 0)
  return `${text(total)} more: ${left.map(({ name, n }) => `${text(n)} ${name}`).join(', ')}`
}

function first<T, Shown>(list: keyof typeof FIRST, all: readonly T[], shown: (one: T) => Shown): Shown[] {
  const { most, bytes } = FIRST[list]
  const kept: Shown[] = []
  let left = bytes
  for (const one of all.slice(0, most)) {
    const view = shown(one)
    left -= Buffer.byteLength(jsonLine(view)) + 1
    if (left < 0 && kept.length > 0) break
    kept.push(view)
  }
  return kept
}

function short(text: string): string {
  return cutTo(text, LONGEST)
}

function shortPart([part, value]: [string, string | null]): [string, string | null] {
  return [cutTo(part, LONGEST_KIND), value === null ? null : cutTo(value, LONGEST)]
}

function shortPlace({ place, endpoint, identity, summary }: PlaceView): PlaceView {
  const parts = Object.fromEntries(first('identity', Object.entries(identity), shortPart))
  return { place: short(place), endpoint: short(endpoint), identity: parts, summary: short(summary) }
}

function shortResource({ id, name, kind, detail, aside }: Resource): Resource {
  const texts = { id: short(id), name: short(name), kind: cutTo(kind, LONGEST_KIND) }
  return { ...texts, ...(detail === undefined ? {} : { detail: short(detail) }), ...(aside === undefined ? {} : { aside: short(aside) }) } // prettier-ignore
}

function shortStep({ step, skill, resource, describe }: StepView): StepView {
  return { step, skill, resource: short(resource), describe: short(describe) }
}

function shortSkipped({ skill, resource, reason, fix }: Lists['skipped'][number]): Lists['skipped'][number] {
  const whole = fix === undefined || fix.length > LONGEST_FIX ? {} : { fix }
  return { skill, resource: short(resource), reason: short(reason), ...whole }
}

function countsOf(names: readonly string[]): Counts {
  const counts = new Map<string, number>()
  for (const given of names) {
    const name = cutTo(given, LONGEST_KIND)
    const key = counts.has(name) || counts.size < MOST_COUNTED ? name : REST
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return Object.fromEntries(counts)
}
