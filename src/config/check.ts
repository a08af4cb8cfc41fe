/** Holds a part of a configuration against a schema, and reports what does not fit at its place. */
import type { z, ZodType } from 'zod'
import { messageOf } from '../core/errors.ts'
import { explain, explainUnknownKey } from './explain.ts'
import { exampleOf, fieldsOf, schemasAt } from './shape.ts'
import { valueAt } from './source.ts'
import type { Source } from './source.ts'
import { closest } from './suggest.ts'
import type { Path } from './tree.ts'

export interface CheckOptions {
  /** Where keys of other sections belong, by key. */
  elsewhere?: () => Readonly<Record<string, string>>
  /** Checked instead of what stands at the path. */
  value?: unknown
  /** Where a top-level field of `value` is written, if not below the path. */
  writtenAt?: (field: string) => Path | undefined
}

/** The parsed value, or undefined after reporting everything that is wrong with it. */
export function check<T>(source: Source, schema: ZodType<T>, path: Path, options: CheckOptions = {}): T | undefined {
  const value = 'value' in options ? options.value : source.get(path)
  let result: z.ZodSafeParseResult<T>
  try {
    // Only issues whose schema has no words of its own get this text; they are put into words by explain.
    result = schema.safeParse(value, { error: () => WORDLESS })
  } catch (error) {
    source.problem(path, source.scrub(`cannot be understood: ${messageOf(error)}`, path))
    return undefined
  }
  if (result.success) return result.data
  const issues = result.error.issues.flatMap(bestBranch)
  for (const issue of withoutEchoes(schema, value, issues)) report(source, schema, path, issue, options)
  return undefined
}

const WORDLESS = '\u0000'

type Issue = z.core.$ZodIssue

function report(source: Source, schema: ZodType, base: Path, issue: Issue, options: CheckOptions): void {
  const steps = issue.path.filter((step) => typeof step !== 'symbol')
  const moved = typeof steps[0] === 'string' ? options.writtenAt?.(steps[0]) : undefined
  const path: Path = moved ? [...moved, ...steps.slice(1)] : [...base, ...steps]
  const schemas = schemasAt(schema, steps)
  if (issue.code === 'unrecognized_keys') {
    const known = [...new Set(schemas.flatMap(fieldsOf))]
    for (const key of issue.keys) {
      const text = explainUnknownKey(key, known, steps.length === 0 ? (options.elsewhere?.() ?? {}) : {})
      source.keyProblem([...path, key], text)
    }
  } else if (issue.message === WORDLESS) {
    source.problem(path, explain(issue, source.seen(path), steps.at(-1), exampleOf(schemas)))
  } else if (source.seen(path).kind === 'missing' && issue.code === 'invalid_type') {
    source.problem(path, `is missing: ${source.scrub(issue.message, path)}`)
  } else {
    source.problem(path, source.scrub(issue.message, path))
  }
}

/** A misspelt key is unknown and leaves the right one missing: that is one mistake. */
function withoutEchoes(schema: ZodType, value: unknown, issues: Issue[]): Issue[] {
  const meant = new Set<string>()
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue
    const known = schemasAt(schema, issue.path).flatMap(fieldsOf)
    for (const key of issue.keys) meant.add(JSON.stringify([...issue.path, closest(key, known)]))
  }
  return issues.filter((issue) => !meant.has(JSON.stringify(issue.path)) || valueAt(value, issue.path) !== undefined)
}

/** Of a union's complaints, those of the one branch that at least wants this type of value. */
function bestBranch(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue]
  const fitting = issue.errors.filter((branch) => !branch.some((e) => e.code === 'invalid_type' && e.path.length === 0))
  const [branch] = fitting
  if (branch === undefined || fitting.length > 1) return [issue]
  return branch.flatMap((inner) => bestBranch({ ...inner, path: [...issue.path, ...inner.path] }))
}
