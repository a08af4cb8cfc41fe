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
