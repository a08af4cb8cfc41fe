/** Texts made for regular expressions: each matches, and no two numbers of a plain pattern have the same. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { likeAsRegex, similarAsRegex, textsOf } from '../../../src/targets/database/rows/values/patterns.ts'

const PATTERNS = [
  ...[
    '^[A-Z]{3}$',
    '^[A-Z]{2,3}$',
    '^\\d+$',
    '^#[0-9a-fA-F]{6}$',
    '^(foo|ba[rz])-\\d{2}$',
    '^a?b*c+$',
    '^[^@\\s]+@[^@\\s]+$',
  ],
  ...['^(?:v)?\\d+(\\.\\d+){2}$', '^\\+[1-9]\\d{6,14}$', '^[a-z][a-z0-9_-]*[a-z0-9]$', '^(\\d{1,3}\\.){3}\\d{1,3}$'],
  ...[
    '^[\\w.-]+$',
    '^[]a]$',
    '^[a-]$',
    'x|y',
    '^.{5}$',
    '^\\S+$',
    '^(a|b|)$',
    '^((a{1,5}){1,5}){1,5}$',
    '^\\$\\{x\\}$',
  ],
]
/** The same for JavaScript, where it is written otherwise. */
const SCRIPTS: Record<string, string> = { '^[]a]$': '^[\\]a]$' }

describe('texts that a regular expression matches', () => {
  for (const pattern of PATTERNS) {
    test(pattern, () => {
      const texts = textsOf(pattern, 255)
      assert.ok(texts)
      for (let i = 0n; i < 300n && i < texts.size; i++) {
        for (const n of [i, texts.size - 1n - i, (i * texts.size) / 300n])
          assert.match(texts.at(n), new RegExp(SCRIPTS[pattern] ?? pattern))
      }
      if (/[?*+|]|\}\)/.test(pattern)) return
      const count = texts.size < 500n ? Number(texts.size) : 500
      assert.equal(new Set(Array.from({ length: count }, (_, i) => texts.at(BigInt(i)))).size, count)
    })
  }

  test('what is too long, is not understood, or matches nothing is left', () => {
    for (const pattern of ['^(a)\\1$', '^[', '^(a', 'a{5,2}', '[[:nonsense:]]', 'a'.repeat(600), '(('.repeat(200)])
      assert.equal(textsOf(pattern, 255), undefined, pattern)
    assert.equal(textsOf('^[a-z]{8}$', 7), undefined)
    assert.equal(textsOf('^(a{255}){255}$', 1e9), undefined)
    assert.ok((textsOf('^[a-z]+$', 5)?.longest ?? 9) <= 5)
  })

  test('a pattern that could be had in too many ways takes no time', () => {
    const since = Date.now()
    for (const pattern of ['((((a*)*)*)*)*', '(a|aa)+'.repeat(40), '(([a-z]{1,255}){1,255}){1,255}', '(x+x+)+y'])
      textsOf(pattern, 255)?.at(12345678901234567890n)
    assert.ok(Date.now() - since < 5_000)
  })

  test('patterns of LIKE and SIMILAR TO', () => {
    assert.match(textsOf(likeAsRegex('SKU-%_x'), 99)?.at(77n) ?? '', /^SKU-.*.x$/)
    assert.equal(textsOf(likeAsRegex('50\\%'), 99)?.at(0n), '50%')
    assert.match(textsOf(similarAsRegex('(a|b)[0-9]+%'), 99)?.at(99n) ?? '', /^(a|b)[0-9]+.*$/)
  })
})
