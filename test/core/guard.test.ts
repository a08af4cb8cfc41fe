import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matchesGlob, protectedNames } from '../../src/core/guard.ts'

const nothing = { allow: [], protected: [] }

test('names that say production as a word are refused', () => {
  const names = [
    'prod',
    'prod1',
    'prod-db',
    'db.prod.example',
    'my_prod',
    'PRODUCTION',
    'eu.live.example',
    'live2',
    'a/prod',
  ]
  assert.deepEqual(protectedNames(names, nothing), names)
})

test('names that only contain the letters are not refused', () => {
  const names = [
    'product',
    'products',
    'delivery',
    'olive',
    'alive',
    'livestock',
    'reproduction',
    'prodigy',
    '',
    'staging',
  ]
  assert.deepEqual(protectedNames(names, nothing), [])
})

test('an allow pattern lifts the built-in protection of what it matches, and of nothing else', () => {
  const safety = { allow: ['prod-copy*', 'LIVE'], protected: [] }
  assert.deepEqual(protectedNames(['prod-copy-3', 'live', 'prod-db', 'x-prod-copy'], safety), [
    'prod-db',
    'x-prod-copy',
  ])
})

test('a protected pattern is refused although a wildcard allows it, and not when the very name is allowed', () => {
  const forbidden = ['billing*']
  assert.deepEqual(protectedNames(['billing-7', 'shop'], { allow: ['*'], protected: forbidden }), ['billing-7'])
  assert.deepEqual(protectedNames(['Billing-7'], { allow: ['billing-7'], protected: forbidden }), [])
})

test('a pattern fits the whole name, in either case, and only * and ? are special', () => {
  assert.ok(matchesGlob('db?.EU.*', 'db1.eu.example'))
  assert.ok(!matchesGlob('db', 'db1'))
  assert.ok(!matchesGlob('a.c', 'abc'))
  assert.ok(matchesGlob('a[1]+(x)|^$\\{y}-/', 'a[1]+(x)|^$\\{y}-/'))
  assert.ok(!matchesGlob('*a*a*a*a*a*a*a*a*b', 'a'.repeat(60)))
})
