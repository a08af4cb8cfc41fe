/** What a terminal is shown: no colours where they are not wanted, and lines that break at words (S9). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coloured, paintFor, plain, redraws } from '../../src/observe/paint.ts'
import { progress } from '../../src/observe/progress.ts'
import { wrapLine } from '../../src/observe/wrap-line.ts'

test('S9: NO_COLOR and a dumb terminal get plain text, and a dumb one no line that is drawn over', () => {
  assert.equal(paintFor({ tty: true, env: {} }), coloured)
  assert.equal(paintFor({ tty: true, env: { NO_COLOR: '' } }), coloured)
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) assert.equal(paintFor({ tty: true, env }), plain)
  assert.equal(paintFor({ tty: false, env: {} }), plain)
  assert.deepEqual(
    [redraws({ tty: true, env: { NO_COLOR: '1' } }), redraws({ tty: true, env: { TERM: 'dumb' } })],
    [true, false],
  )

  let text = ''
  const sink = progress({ write: (more) => (text += more), screen: { tty: true, env: { TERM: 'dumb' }, columns: 60 } })
  const at = '2026-01-02T03:04:05.678Z'
  sink({ type: 'run.phase', at, run: 'r', phase: 'soak' })
  sink({ type: 'warning', at, message: 'the clock was set back by an hour and nobody knows why it was set back' })
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f]/)
  for (const line of text.split('\n')) assert.ok(line.length <= 60, line)
})

test('S9: a long line breaks at its words; nothing is lost, and one word that is longer stays whole', () => {
  const line = '03:04:05Z note: while the lock on public.order_items is waited for, whoever comes later waits behind it'
  const wrapped = wrapLine(line, 50, 10)
  assert.equal(wrapped.replaceAll(/\n +/g, ' '), line)
  assert.ok(wrapped.split('\n').length > 2)
  for (const part of wrapped.split('\n')) assert.ok(part.length <= 50, part)
  for (const part of wrapped.split('\n').slice(1)) assert.match(part, /^ {10}\S/)
  const long = `a ${'x'.repeat(80)} b`
  assert.equal(wrapLine(long, 50, 2).replaceAll(/\n +/g, ' '), long)
  // Colours take no room.
  const painted = Array.from({ length: 9 }, () => coloured('red', 'word')).join(' ')
  assert.equal(wrapLine(painted, 50, 2), painted)
  for (const columns of [undefined, 20]) assert.equal(wrapLine(line, columns, 10), line)
})
