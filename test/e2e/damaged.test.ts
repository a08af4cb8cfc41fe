/** How the options of `chaos recover --accept-loss` go together; the states themselves are in test/bad-state. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { encodeLine } from '../../src/journal/format.ts'
import { started } from '../journal/helpers.ts'
import { Chaos } from './chaos.ts'

let chaos: Chaos
beforeEach(() => void (chaos = new Chaos()))
afterEach(() => chaos.remove())

const RUN = '260101t000000abcd'
const journal = (): string => join(chaos.state, 'journal')

function leave(...lines: (string | Buffer)[]): string {
  mkdirSync(journal(), { recursive: true })
  writeFileSync(join(chaos.state, 'install'), 'abcdef\n')
  const file = join(journal(), `${RUN}.jsonl`)
  writeFileSync(file, lines.join(''))
  return file
}

const ask = async (...args: string[]) => chaos.start(args).exit

test('--accept-loss needs the name of the run, and a damaged one', async () => {
  const at = '2026-01-01T00:00:00.000Z'
  leave(encodeLine(1, '00000000', JSON.stringify({ ...started({ run: RUN }), at })).bytes)
  for (const [args, said] of [
    [['--accept-loss'], /--run: is needed: a hand-over is about one run/],
    [['--accept-loss', '--run', 'nobody'], /no open run nobody/],
    [['--accept-loss', '--run', RUN, '--dry-run'], /--dry-run: only shows/],
    [['--note', 'x'], /--note: goes with --accept-residue or --accept-loss/],
  ] as const) {
    const { code, err } = await ask('recover', ...args)
    assert.deepEqual([code, said.test(err)], [2, true], err)
  }
  const { code, err } = await ask('recover', '--accept-loss', '--run', RUN)
  assert.deepEqual([code, /not damaged: there is no loss to accept/.test(err)], [3, true], err)
  assert.ok(existsSync(join(journal(), `${RUN}.jsonl`)))
})
