/** Every skill of every target, its worker killed at points that it names itself: a sample here, all with `npm run crash -- --all`. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { targets } from '../../src/targets/index.ts'
import { Crashes } from './cycle.ts'
import { crashMatrix, lineOf } from './matrix.ts'
import { seedOfCommit } from '../seed.ts'
import { WORLDS } from './worlds.ts'
import type { World } from './worlds.ts'

/** Of each skill; a fifth as many recoveries are killed too, and after a tenth as many more the target is replaced. */
const KILLS = Number(process.env['CHAOS_CRASH_KILLS'] ?? 8)
/** For all skills together: a busy machine kills fewer. */
const MINUTES = Number(process.env['CHAOS_CRASH_MINUTES'] ?? 3)
/** However busy it is. */
const LEAST = Math.min(KILLS, 3)

const seed = process.env['CHAOS_SEED'] ?? seedOfCommit()
const skills = targets.reduce((sum, target) => sum + target.skills.length, 0)

for (const target of targets) {
  describe(`a worker of the target ${target.name}, killed`, () => {
    let world: World
    let crashes: Crashes
    before(async () => {
      const open = WORLDS[target.name]
      assert.ok(open, `the target ${target.name} brings no world to kill its skills on: add one to worlds.ts`)
      world = await open()
      crashes = await Crashes.open(targets)
    })
    after(async () => {
      await crashes.close()
      await world.close()
    })
    for (const { name } of target.skills) {
      test(`leaves nothing of ${name} behind, wherever it dies`, { timeout: 60 * 60_000 }, async (t) => {
        const until = Date.now() + (MINUTES * 60_000) / skills
        const doubles = Math.ceil(KILLS / 5)
        const amount = { kills: KILLS, doubles, replaced: Math.ceil(KILLS / 10), until, least: LEAST, seed }
        const matrix = await crashMatrix(name, world, crashes, amount)
        t.diagnostic(lineOf(matrix))
        assert.deepEqual(matrix.residue, [], `seed ${seed}`)
        assert.ok(matrix.killed >= LEAST, `only ${matrix.killed} kills of ${KILLS} in ${MINUTES} minutes`)
      })
    }
  })
}
