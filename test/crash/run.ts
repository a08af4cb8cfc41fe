/**
 * `npm run crash -- [--all | --kills N --doubles N --replaced N] [--seed SEED] [--minutes N] [SKILL…]`: the crash matrix, a line per
 * skill. `--all`: every point, and every point of every recovery that looks different. Ends 0 only where nothing was left.
 */
import { parseArgs } from 'node:util'
import { targets } from '../../src/targets/index.ts'
import { Crashes } from './cycle.ts'
import { crashMatrix, lineOf } from './matrix.ts'
import { seedOfCommit } from '../seed.ts'
import { WORLDS } from './worlds.ts'

const { values, positionals: only } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean', default: false },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    kills: { type: 'string' },
    doubles: { type: 'string' },
    replaced: { type: 'string' },
  },
})
const seed = values.seed ?? seedOfCommit()
const until = Date.now() + Number(values.minutes ?? 24 * 60) * 60_000
const amount = values.all
  ? { kills: Infinity, doubles: Infinity, replaced: Infinity }
  : {
      kills: Number(values.kills ?? 60),
      doubles: Number(values.doubles ?? 12),
      replaced: Number(values.replaced ?? 12),
    }
console.log(`seed ${seed}`)
let residue = 0
for (const target of targets) {
  const world = await WORLDS[target.name]?.()
  if (!world) throw new Error(`the target ${target.name} brings no world to kill its skills on: add one to worlds.ts`)
  const crashes = await Crashes.open(targets)
  try {
    for (const { name } of target.skills) {
      if (only.length > 0 && !only.includes(name)) continue
      const matrix = await crashMatrix(name, world, crashes, { ...amount, until, least: 0, seed })
      console.log(lineOf(matrix))
      for (const line of matrix.residue) console.log(`  ${line}`)
      residue += matrix.residue.length
    }
  } finally {
    await crashes.close()
    await world.close()
  }
}
process.exitCode = residue === 0 ? 0 : 4
