/** Whatever a file holds, the loader answers with a configuration or with what is wrong with it, never with a crash. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../../src/core/errors.ts'
import { load } from './helpers.ts'

const VALID = ['database', 'daemon', 'server'].map((name) =>
  readFileSync(new URL(`../mission/${name}.yaml`, import.meta.url), 'utf8'),
)

/** What YAML, expressions and schedules are made of. */
const PIECES = [
  ...[
    '\t',
    '\n',
    '  ',
    '- ',
    ': ',
    '? ',
    '#',
    '|',
    '>',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    ',',
    '&a ',
    '*a',
    '!!int ',
    '!x ',
    '<<: ',
  ],
  ...[
    '---\n',
    '...\n',
    '%YAML 1.1\n',
    '${',
    '}',
    '${HOME}',
    '${A:-',
    '${file:',
    '$${',
    '\0',
    '\u2028',
    '\ud800',
    '\\',
    '~',
    '@',
    '`',
  ],
  ...[
    'null',
    'true',
    '0',
    '-1',
    '1e999',
    '.nan',
    '0x',
    '5m',
    '* * * * * *',
    '0-99999999',
    '*/0',
    'L',
    '2W',
    'mon#9',
    '%E0%A4%A',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'experiment:',
    'settings:',
    'schedule:',
    'params:',
    'database',
    'limits:',
    'timezone:',
  ],
]

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  cut: fc.nat(12),
  put: fc.oneof(fc.constantFrom(...PIECES), fc.string()),
})

test('a mutated configuration is loaded or refused with line and column, and nothing else happens', async () => {
  let refused = 0
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...VALID), fc.array(edit, { maxLength: 6 }), async (valid, edits) => {
      const text = edits.reduce((now, { at, cut, put }) => {
        const offset = Math.floor(at * now.length)
        return now.slice(0, offset) + put + now.slice(offset + cut)
      }, valid)
      try {
        const config = await load(text, { env: { HOME: '/nowhere' } })
        assert.ok(config.experiments.length > 0)
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        refused++
        assert.ok(error.problems.length > 0)
        for (const problem of error.problems) {
          assert.ok(problem.line >= 1 && problem.column >= 1, error.message)
          assert.ok(problem.line <= text.split('\n').length, error.message)
          assert.notEqual(problem.message, '')
        }
      }
    }),
    { numRuns: 400, interruptAfterTimeLimit: 4_000 },
  )
  assert.ok(refused > 0)
})

/** Lines twice, gone, moved, indented otherwise; bytes flipped. */
const line = fc.tuple(fc.constantFrom('double', 'drop', 'swap', 'indent', 'outdent', 'flip'), fc.nat(200), fc.nat(200))

function moved(text: string, [how, a, b]: [string, number, number]): string {
  const lines = text.split('\n')
  const [i, j] = [a % lines.length, b % lines.length]
  const [one = '', other = ''] = [lines[i], lines[j]]
  switch (how) {
    case 'double':
      return lines.toSpliced(j, 0, one).join('\n')
    case 'drop':
      return lines.toSpliced(i, 1).join('\n')
    case 'swap':
      return lines.with(i, other).with(j, one).join('\n')
    case 'indent':
      return lines.with(i, `${' '.repeat((b % 5) + 1)}${one}`).join('\n')
    case 'outdent':
      return lines.with(i, one.replace(/^ {1,3}/, '')).join('\n')
    default: {
      const bytes = Buffer.from(text)
      bytes[a % bytes.length]! ^= 1 << (b % 7)
      return bytes.toString('latin1')
    }
  }
}

async function loadedOrRefused(text: string): Promise<boolean> {
  try {
    assert.ok((await load(text, { env: { HOME: '/nowhere' } })).experiments.length > 0)
    return true
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    assert.ok(error.problems.length > 0)
    return false
  }
}

test('a configuration whose lines were moved about or whose bytes were flipped is loaded or refused', async () => {
  let [good, bad] = [0, 0]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...VALID),
      fc.array(line, { minLength: 1, maxLength: 3 }),
      async (valid, edits) => {
        if (await loadedOrRefused(edits.reduce(moved, valid))) good++
        else bad++
      },
    ),
    { numRuns: 200, interruptAfterTimeLimit: 2_000 },
  )
  assert.ok(good > 0 && bad > 0)
})

const ENTRY = `experiments:
  - name: e
    target: database
    target_config: {connection_url: "postgres://db.staging/shop"}
    skills: [{skill_name: db.insert_load}]
`

test('a configuration that is an attack is refused within seconds: bombs of aliases, depth, length, numbers without end', async () => {
  const bomb = ['a0: &a0 [x, x]', ...Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`)]
  const attacks: Record<string, string> = {
    aliases: `${bomb.join('\n')}\n${ENTRY}`,
    'aliases within params': ENTRY.replace('db.insert_load}', 'db.insert_load, params: {tables: &t [*t, *t]}}'),
    brackets: `${ENTRY}x: ${'['.repeat(100_000)}`,
    braces: `${ENTRY}x: ${'{a: '.repeat(100_000)}`,
    indentation: Array.from({ length: 3_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    'a long key': `${'k'.repeat(2_000_000)}: 1\n${ENTRY}`,
    'a long name': ENTRY.replace('name: e', `name: ${'n'.repeat(2_000_000)}`),
    'a number without end': `settings: {max_concurrent: ${'9'.repeat(100_000)}}\n${ENTRY}`,
    'a huge number': `settings: {limits: {rows: 1e400}}\n${ENTRY}`,
    'a long schedule': `${ENTRY}    schedule: "${'1,'.repeat(200_000)}1 * * * * *"\n`,
    'a long range': `${ENTRY}    schedule: "0-${'9'.repeat(300)} * * * * *"\n`,
    'a long filter': `${ENTRY}    resource_filters: ["${'('.repeat(50_000)}"]\n`,
    'a long duration': `${ENTRY}    duration: ${'1s'.repeat(200_000)}x\n`,
    'keys of every object': `__proto__: {experiments: []}\nconstructor: {prototype: {x: 1}}\n${ENTRY}`,
    'keys of every object, within': ENTRY.replace(
      'db.insert_load}',
      'db.insert_load, params: {__proto__: {tables: [x]}, toString: 1}}',
    ),
    'keys of every object, in settings': `settings: {__proto__: {allow: [prod]}, hasOwnProperty: 1}\n${ENTRY}`,
  }
  for (const [what, text] of Object.entries(attacks)) {
    const begun = performance.now()
    assert.equal(await loadedOrRefused(text), false, what)
    assert.ok(performance.now() - begun < 20_000, `${what} takes too long`)
  }
  assert.equal(({} as { x?: number }).x, undefined)
})

test('a schedule with a tab between its fields is read like one with spaces', async () => {
  const { experiments } = await load(`${ENTRY}    schedule: "0\\t0  2 * * *"\n`, { env: {} })
  assert.equal(experiments[0]?.schedule, '0 0 2 * * *')
})
