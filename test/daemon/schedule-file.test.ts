import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openHandled } from '../../src/daemon/schedule-file.ts'
import { folder } from '../supervisor/helpers.ts'

const unexpected = (message: string): never => assert.fail(message)

test('what is saved is read again, by people too, and only by its owner', async (t) => {
  const path = folder(t)
  const store = await openHandled(path, unexpected)
  assert.equal(store.slots.size, 0)
  const until = Date.UTC(2026, 0, 1, 2, 3, 4, 5)
  store.slots.set('a "quoted" name', { schedule: '0 0 2 * * * UTC', until })
  store.slots.set('b', { schedule: 'x', until, passed: { from: 0, to: 1 }, ahead: { from: 2, to: 3 }, retired: true })
  await store.save()
  const again = await openHandled(path, unexpected)
  assert.deepEqual([...again.slots], [...store.slots])
  const file = join(path, 'schedule.json')
  assert.match(readFileSync(file, 'utf8'), /"b": .*2026-01-01T02:03:04\.005Z/)
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('a file that is damaged or of another version is told and begun anew', async (t) => {
  for (const text of [
    '{"version": 1, "exper',
    '{"version": 2}',
    '{"version": 1, "experiments": {"a": {"until": "soon"}}}',
  ]) {
    const path = folder(t)
    writeFileSync(join(path, 'schedule.json'), text)
    const warnings: string[] = []
    const store = await openHandled(path, (message) => warnings.push(message))
    assert.equal(store.slots.size, 0)
    assert.match(warnings.join(), /schedule\.json cannot be read and is begun anew/)
    await store.save()
    await openHandled(path, unexpected)
  }
})
