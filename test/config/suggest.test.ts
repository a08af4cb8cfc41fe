import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closest } from '../../src/config/suggest.ts'

const KEYS = ['name', 'target', 'target_config', 'skills', 'duration', 'parallel', 'resource_filters', 'connection_url']

test('slips of the finger, other spellings and parts of a word find the word', () => {
  assert.equal(closest('duraton', KEYS), 'duration')
  assert.equal(closest('nmae', KEYS), 'name')
  assert.equal(closest('targetConfig', KEYS), 'target_config')
  assert.equal(closest('resource-filters', KEYS), 'resource_filters')
  assert.equal(closest('SKILLS', KEYS), 'skills')
  assert.equal(closest('skill', KEYS), 'skills')
  assert.equal(closest('url', KEYS), 'connection_url')
  assert.equal(closest('insert_load', ['db.update_load', 'db.insert_load']), 'db.insert_load')
})

test('a word that is like none of them finds none', () => {
  assert.equal(closest('webhook', KEYS), undefined)
  assert.equal(closest('', KEYS), undefined)
  assert.equal(closest('x'.repeat(10_000), KEYS), undefined)
  assert.equal(closest('db.select_load', ['db.insert_load', 'db.config_change']), undefined)
})
