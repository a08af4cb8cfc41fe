/** A sync that fails once and would succeed the next time: the kernel has dropped what it could not write, and says nothing of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { diskError, MemoryDisk, watched } from '../fakes/disk.ts'
import { planned, started } from './helpers.ts'

test('a sync that has failed is not asked for a second time, although it would succeed', async () => {
  const file = '/j/r1.jsonl'
  let failing = false
  let syncs = 0
  const disk = watched(new MemoryDisk(), (op, path) => {
    if (!failing || op !== 'datasync' || path !== file) return
    syncs += 1
    if (syncs === 1) throw diskError('EIO')
  })
  const journal = await FileJournal.create(file, disk)
  await journal.append(started(), { durable: true })
  failing = true
  await assert.rejects(journal.append(planned(1), { durable: true }), { code: 'JOURNAL_WRITE', message: /EIO/ })
  await journal.close()
  assert.equal(syncs, 1)
})
