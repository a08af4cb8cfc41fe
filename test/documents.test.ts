/** The documents are for reading: a table's cell is a phrase, and the walk through the code names what is there. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const LONGEST_CELL = 25

const documents = ['', 'docs', 'bench', 'src/journal'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
)

test(`a cell of a table has at most ${LONGEST_CELL} words: what is longer stands below its table`, () => {
  assert.ok(documents.length > 10)
  const long = documents.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .replaceAll(/^ *```[^]*?^ *```/gm, '')
      .split('\n')
      .filter((line) => /^\s*\|/.test(line))
      .flatMap((row) => row.split(/(?<!\\)\|/))
      .filter((cell) => wordsOf(cell) > LONGEST_CELL)
      .map((cell) => `${file}: ${wordsOf(cell)} words: ${cell.trim()}`),
  )
  assert.deepEqual(long, [])
})

test('every function and every file that the walk of architecture.md names is there', () => {
  const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8')
  const walk = /^1\. `main\.ts`[^]*?(?=\n\| folder)/m.exec(text)?.[0] ?? ''
  const named = [...walk.matchAll(/`([\w.#]+)` \(`([\w/.-]+\.ts)`\)/g)].map(([, name = '', file = '']) => ({
    name,
    file,
  }))
  assert.ok(named.length > 15, `${named.length} functions`)
  const wrong = named.filter(({ name, file }) => {
    const path = join(root, 'src', file)
    const word = name.split('.').at(-1) ?? name
    return !existsSync(path) || !new RegExp(`\\b${word}[(<]`).test(readFileSync(path, 'utf8'))
  })
  assert.deepEqual(wrong, [])
})

function wordsOf(cell: string): number {
  return cell.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length
}
