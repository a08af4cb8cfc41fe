/** Server-sent events in pieces of any size: no byte changes, and no more is held than allowed. */
import fc from 'fast-check'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { eventsOf, sseFrames } from '../../src/faults/adapters/sse.ts'
import { collect } from './helpers.ts'

async function* piecesOf(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array, void> {
  let from = 0
  for (const cut of [...cuts.map((n) => n % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    await Promise.resolve()
    if (cut > from) yield bytes.subarray(from, cut)
    from = cut
  }
}

const eventsIn = async (text: string, cuts: readonly number[] = [], most = 1000) =>
  (await collect(eventsOf(piecesOf(Buffer.from(text), cuts), most))).map((event) => ({
    text: Buffer.from(event.bytes).toString(),
    data: sseFrames.dataOf(event),
  }))

describe('eventsOf', () => {
  for (const [name, end] of Object.entries({ LF: '\n', CRLF: '\r\n', CR: '\r' })) {
    test(`finds every event with ${name} as line end, wherever the pieces are cut`, async () => {
      const events = ['id: 1', 'data: {"a":1}', '', ': a comment', '', 'data: two', 'data: lines', '', 'event: x', '']
      const text = events.map((line) => line + end).join('')
      await fc.assert(
        fc.asyncProperty(fc.array(fc.nat(text.length)), async (cuts) => {
          const found = await eventsIn(text, cuts)
          assert.equal(found.map((event) => event.text).join(''), text)
          assert.deepEqual(
            found.map((event) => event.data).filter((data) => data !== undefined),
            ['{"a":1}', 'two\nlines'],
          )
        }),
      )
    })
  }

  test('gives bytes back as they were, whatever they are', async () => {
    const byte = fc.constantFrom(0x0a, 0x0d, 0x3a, 0x64, 0xff, 0xef, 0xbb, 0xbf)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.array(byte), fc.array(fc.nat(99)), async (a, b, cuts) => {
        const bytes = Buffer.from([...a, ...b])
        const events = await collect(eventsOf(piecesOf(bytes, cuts), 10))
        assert.deepEqual(Buffer.concat(events.map((event) => event.bytes)), bytes)
      }),
    )
  })

  test('an event with CR LF is whole as soon as it is there: its last byte does not wait for the next event', async () => {
    const source = piecesOf(Buffer.from('data: 1\r\n\r\ndata: 2\r\n\r\n'), [11])
    const events = eventsOf(source, 1000)
    assert.equal(Buffer.from((await events.next()).value?.bytes ?? []).toString(), 'data: 1\r\n\r\n')
  })

  test('an event above the limit comes in pieces without data, and the next one is an event again', async () => {
    const large = `data: ${'x'.repeat(100)}\n\n`
    for (const cuts of [[], [50], [20, 40, 60, 80], [large.length]]) {
      const found = await eventsIn(`${large}data: small\n\n`, cuts, 40)
      assert.equal(found.map(({ text }) => text).join(''), `${large}data: small\n\n`)
      assert.deepEqual(
        found.flatMap(({ data }) => data ?? []),
        ['small'],
      )
    }
  })

  test('what comes after the last blank line is no event', async () => {
    assert.deepEqual(await eventsIn('data: 1\n\ndata: half'), [
      { text: 'data: 1\n\n', data: '1' },
      { text: 'data: half', data: undefined },
    ])
  })

  test('one space after the colon belongs to the frame, the others to the data', async () => {
    assert.deepEqual(
      (await eventsIn('data:  hello\n\ndata:hello\n\n')).map(({ data }) => data),
      [' hello', 'hello'],
    )
  })

  test('ten million bytes in small pieces are one event within a moment', async () => {
    const piece = Buffer.alloc(1000, 'x')
    async function* source(): AsyncGenerator<Uint8Array, void> {
      await Promise.resolve()
      yield Buffer.from('data: ')
      for (let i = 0; i < 10_000; i++) yield piece
      yield Buffer.from('\n\n')
    }
    const begun = performance.now()
    const [event, ...more] = await collect(eventsOf(source(), 64 * 2 ** 20))
    assert.equal(event?.bytes.length, 10_000_008)
    assert.equal(more.length, 0)
    // Looking again at what has been looked at already would take minutes.
    assert.ok(performance.now() - begun < 20_000)
  })
})
