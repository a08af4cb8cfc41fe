import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CHAIN_START, decodeLine, encodeLine, wasWhole } from '../../src/journal/format.ts'

const lineOf = (json: string): Buffer => {
  const { bytes } = encodeLine(7, CHAIN_START, json)
  return bytes.subarray(0, -1)
}

test('a line is length, checksum before, checksum, number and JSON, and ends with a newline', () => {
  const { bytes, crc } = encodeLine(1, CHAIN_START, '{"a":"é"}')
  assert.equal(bytes.toString(), `10 00000000 ${crc} 1 {"a":"é"}\n`)
})

test('every text reads back as it was written', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(), (value, seq) => {
      const json = JSON.stringify(value)
      const { bytes, crc } = encodeLine(seq, '0a1b2c3d', json)
      assert.deepEqual(decodeLine(bytes.subarray(0, -1)), { seq, prev: '0a1b2c3d', crc, json })
    }),
  )
})

test('the checksum covers the number and the checksum before, not only the JSON', () => {
  const crcs = [
    encodeLine(1, CHAIN_START, '{}').crc,
    encodeLine(2, CHAIN_START, '{}').crc,
    encodeLine(1, '00000001', '{}').crc,
  ]
  assert.equal(new Set(crcs).size, 3)
})

test('no change of one byte to any other value leaves a readable line', () => {
  const line = lineOf('{"type":"step.planned","step":3,"data":{"name":"Zoë"}}')
  for (let i = 0; i < line.length; i++) {
    for (let byte = 0; byte < 256; byte++) {
      if (byte === line[i]) continue
      const changed = Buffer.from(line)
      changed[i] = byte
      assert.equal(decodeLine(changed), undefined, `byte ${i} as ${byte}`)
    }
  }
})

test('no proper prefix of a line and no line with something behind it is readable', () => {
  const line = lineOf('{"a":1}')
  for (let length = 0; length < line.length; length++) assert.equal(decodeLine(line.subarray(0, length)), undefined)
  assert.equal(decodeLine(Buffer.concat([line, Buffer.from(' ')])), undefined)
})

test('what is not UTF-8 is unreadable even where its replacement would have the same length', () => {
  const line = lineOf('{"a":"\ufffd"}')
  const at = line.indexOf(0xef)
  line.set([0xff, 0xfe, 0xfd], at)
  assert.equal(decodeLine(line), undefined)
})

test('a cut line and one with zeros count as torn; one with its newline or too many bytes was once whole', () => {
  const line = lineOf('{"a":1}')
  for (let length = 1; length <= line.length; length++) assert.equal(wasWhole(line.subarray(0, length), false), false)
  assert.equal(wasWhole(Buffer.concat([line.subarray(0, 9), Buffer.alloc(30)]), true), false)
  assert.equal(wasWhole(line, true), true)
  assert.equal(wasWhole(Buffer.concat([line, Buffer.from('X')]), false), true)
})
