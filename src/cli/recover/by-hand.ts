/** `chaos recover --run R --by-hand FILE`: the commands of the page as a script that only its owner can read. */
import { open } from 'node:fs/promises'
import { counted } from '../../core/counted.ts'
import { ConfigError, messageOf } from '../../core/errors.ts'
import { oneLine } from '../../core/foreign.ts'
import type { StuckRun } from '../../engine/stuck.ts'
import type { Context } from '../context.ts'

export async function writeByHand(
  context: Context,
  file: string,
  { run, endpoint, steps }: StuckRun,
  wanted: number[] | undefined,
): Promise<number> {
  const chosen = steps.filter(({ step }) => wanted === undefined || wanted.includes(step))
  if (chosen.length === 0) {
    const there = steps.map(({ step }) => step).join(', ') || 'none'
    throw problem('--step', `none of these is pending; there is ${there}`)
  }
  const text = chosen.flatMap(({ step, skill, describe, by_hand }) => [
    `# step ${step}, ${oneLine(skill)}: ${oneLine(describe)}`,
    ...by_hand.lines,
    '',
  ])
  const head = ['#!/bin/sh -e', `# undoes what run ${oneLine(run)} has left on ${oneLine(endpoint)}, last first`, '']
  // Never over a file that is there, and never readable for anybody else, not even for a moment.
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile([...head, ...text].join('\n'))
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw problem('--by-hand', `cannot write ${file}: ${messageOf(error)}`)
  }
  const values = chosen.some(({ by_hand }) => by_hand.holdsValues)
    ? ' It holds values of your data: remove it afterwards.'
    : ''
  context.out(
    `wrote ${file} (mode 0600), the commands of ${counted(chosen.length, 'step')}; sh -e ${file} runs it.${values}\n`,
  )
  return 0
}

function problem(path: string, message: string): ConfigError {
  return new ConfigError([{ file: 'recover', line: 0, column: 0, path, message }], 'USAGE')
}
