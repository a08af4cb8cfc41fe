/** Journals that a person has to decide about, through the built command; none of this connects to anything. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { encodeLine } from '../../src/journal/format.ts'
import { planned, started } from '../journal/helpers.ts'
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

const experiment = {
  name: 'never run',
  target: 'database',
  target_config: { connection_url: 'postgres://nobody@127.0.0.1:1/staging' },
  skills: [{ skill_name: 'db.insert_load' }],
}
const ask = async (...args: string[]) => chaos.start(args).exit

test('a journal without a readable start refuses every run until its loss is accepted', async () => {
  leave('garbage\n', encodeLine(2, '00000000', JSON.stringify(planned(1))).bytes)
  const config = chaos.config({ experiments: [experiment] })
  const refused = await ask('run', config)
  assert.deepEqual(
    [refused.code, /blocked by run 260101t000000abcd/.test(refused.out + refused.err)],
    [4, true],
    refused.out,
  )
  const accepted = await ask('recover', '--run', RUN, '--accept-loss', '--note', 'the table was dropped anyway')
  assert.equal(accepted.code, 0, accepted.err)
  assert.match(
    accepted.out,
    /is over.*the table was dropped anyway.*target is not known: write k1.*kept aside: .*damaged-\d+/s,
  )
  assert.match(readdirSync(journal()).join(), /^260101t000000abcd\.jsonl\.damaged-\d+$/)
  assert.equal((await ask('recover')).out, 'nothing to recover\n')
  // It is tried now: nobody listens on port 1.
  assert.equal((await ask('run', config)).code, 1)
  assert.match((await ask('report', RUN)).out, /an operator accepted at .* is lost/)
})

test('--accept-loss needs the name of the run, and a damaged one', async () => {
  leave(encodeLine(1, '00000000', JSON.stringify(started({ run: RUN }))).bytes)
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

test('a journal of a newer format ends every command with 78, and nothing is touched', async () => {
  const file = leave(
    encodeLine(1, '00000000', JSON.stringify(started({ run: RUN, format: 2 }))).bytes,
    'what a newer version writes\n',
  )
  mkdirSync(join(chaos.state, 'secrets'))
  writeFileSync(join(chaos.state, 'secrets', 'of-a-newer-kind'), '{}')
  const before = readFileSync(file)
  const config = chaos.config({ experiments: [experiment] })
  const scheduled = chaos.config({ experiments: [{ experiment, schedule: '0 0 3 1 1 *' }] })
  for (const args of [
    ['run', config],
    ['daemon', scheduled],
    ['recover'],
    ['recover', '--dry-run'],
    ['recover', '--accept-loss', '--run', RUN],
    ['status'],
  ]) {
    const { code, err, out } = await ask(...args)
    assert.deepEqual([code, /newer version/.test(err + out)], [78, true], `${args.join(' ')}: ${out}${err}`)
  }
  assert.deepEqual(readFileSync(file), before)
  assert.deepEqual(
    [readdirSync(journal()), readdirSync(join(chaos.state, 'secrets'))],
    [[`${RUN}.jsonl`], ['of-a-newer-kind']],
  )
})
