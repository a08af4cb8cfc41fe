/** What a schema found wrong, in words: what is wrong, what is there, what to write instead. */
import type { z } from 'zod'
import type { Kind } from './kinds.ts'
import { laterKey } from './later.ts'
import { showKey } from './secrecy.ts'
import type { Seen } from './source.ts'
import { didYouMean } from './suggest.ts'

type Issue = z.core.$ZodIssue

/** `key` is the last step of the issue's path; `example` a line to add when it is missing. */
export function explain(issue: Issue, seen: Seen, key: PropertyKey | undefined, example?: string): string {
  if (seen.kind === 'missing') {
    const line = example ?? (typeof key === 'string' ? `${key}: …` : undefined)
    return line === undefined ? 'is missing' : `is missing: add ${line}`
  }
  if (seen.kind === 'nothing') return 'has no value: write one, or remove the line'
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(issue.expected, seen)
    case 'invalid_value':
      return oneOf(issue.values.map(String), seen)
    case 'too_small':
      return tooSmall(issue, seen)
    case 'too_big':
      if (issue.origin === 'array') return `must not have more than ${issue.maximum} entries`
      if (issue.origin === 'string') return `must not be longer than ${issue.maximum} characters`
      return `must be ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}, got ${seen.text}`
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}, got ${seen.text}`
    case 'invalid_format':
      return `is not a valid ${issue.format}, got ${seen.text}`
    case 'invalid_union':
      return unionText(issue, seen)
    case 'custom':
      return isKind(issue.params?.['kind']) ? issue.params['kind'].explain(seen) : `is not valid, got ${seen.text}`
    case 'invalid_key':
    case 'invalid_element':
    case 'unrecognized_keys':
      return `is not valid, got ${seen.text}`
  }
}

/** For one key that no schema knows. `elsewhere` says where keys of other sections belong. */
export function explainUnknownKey(
  key: string,
  known: readonly string[],
  elsewhere: Readonly<Record<string, string>>,
): string {
  const name = showKey(key)
  if (Object.hasOwn(elsewhere, key)) return `${name} does not belong here: put it ${elsewhere[key] ?? ''}`
  const later = laterKey(key)
  if (later !== undefined) return later
  const guess = didYouMean(key, known)
  if (guess !== '') return `unknown key ${name}${guess}`
  const others = didYouMean(key, Object.keys(elsewhere))
  const list = known.length > 0 ? `: remove it, or write one of ${known.join(', ')}` : ': remove it'
  return `unknown key ${name}${others}${others === '' ? list : ''}`
}

const NOUNS: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map ("key: value" lines)',
  record: 'a map ("key: value" lines)',
}

function wrongType(expected: string, seen: Seen): string {
  const hint = typeHint(expected, seen)
  return `must be ${NOUNS[expected] ?? expected}, got ${seen.text}${hint === undefined ? '' : `: ${hint}`}`
}

function typeHint(expected: string, { kind, value }: Seen): string | undefined {
  const text = String(value)
  if (expected === 'string' && (kind === 'number' || kind === 'boolean')) {
    return value === undefined ? 'put quotes around it' : `put quotes around it: "${text}"`
  }
  if (expected === 'array' && kind !== 'list' && kind !== 'map') {
    return value === undefined
      ? 'put [ ] around it'
      : `write [${typeof value === 'string' ? JSON.stringify(value) : text}]`
  }
  if (expected === 'array') return 'begin its lines with "- "'
  if (expected === 'boolean' && /^(yes|on|y|true|1)$/i.test(text)) return 'write true, without quotes'
  if (expected === 'boolean' && /^(no|off|n|false|0)$/i.test(text)) return 'write false, without quotes'
  if (expected === 'int' && kind === 'number')
    return value === undefined ? undefined : `write ${Math.round(Number(value))}`
  if ((expected === 'number' || expected === 'int') && kind === 'text') {
    if (value === undefined) return 'it must give a number, and stand without quotes'
    const digits = text.replaceAll(/[_,\s]/g, '')
    return digits !== '' && Number.isFinite(Number(digits)) ? `write ${digits}, without quotes` : undefined
  }
  return undefined
}

function oneOf(values: string[], seen: Seen): string {
  const guess = typeof seen.value === 'string' ? didYouMean(seen.value, values) : ''
  return `must be ${values.length > 1 ? 'one of ' : ''}${values.join(', ')}; got ${seen.text}${guess}`
}

function tooSmall(issue: z.core.$ZodIssueTooSmall, seen: Seen): string {
  if (issue.origin === 'array')
    return Number(issue.minimum) === 1
      ? 'must not be an empty list: add an entry'
      : `must have at least ${issue.minimum} entries`
  if (issue.origin === 'string') {
    return Number(issue.minimum) === 1
      ? `must not be empty, got ${seen.text}`
      : `must have at least ${issue.minimum} characters`
  }
  return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}, got ${seen.text}`
}

function unionText(issue: z.core.$ZodIssueInvalidUnion, seen: Seen): string {
  if ('options' in issue && Array.isArray(issue.options)) return oneOf(issue.options.map(String), seen)
  const expected = issue.errors
    .flat()
    .flatMap((e) => (e.code === 'invalid_type' ? [NOUNS[e.expected] ?? e.expected] : []))
  return expected.length > 0
    ? `must be ${[...new Set(expected)].join(' or ')}, got ${seen.text}`
    : `is not valid, got ${seen.text}`
}

function isKind(value: unknown): value is Kind<unknown> {
  return typeof value === 'object' && value !== null && 'explain' in value
}
