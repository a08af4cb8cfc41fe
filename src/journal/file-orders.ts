/** An operator's orders as a file: `<state>/orders.json`. */
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { JournalError, messageOf } from '../core/errors.ts'
import { nodeDisk, writeFileDurably } from './disk.ts'
import type { Orders, StandingOrders } from './orders.ts'
import { readRegular } from './regular.ts'
import { adviceFor, unreadableBy } from './unreadable.ts'
import { exactly, fields, listOf, mapOf, nullable, optional, text, time } from './shape.ts'

const NONE: StandingOrders = { disabled: {}, trusted: [] }

/** Orders that cannot be read could be "frozen": then that is what they are taken for, until somebody says otherwise. */
export async function openOrders(stateDir: string, now: number): Promise<Orders> {
  const file = join(stateDir, 'orders.json')
  let { orders, damaged } = await read(file, now)
  let changing: Promise<void> = Promise.resolve()
  const reread = async (): Promise<void> => {
    const found = await read(file, now)
    // Gone is no order: what was said still counts.
    if (found.orders !== NONE) ({ orders, damaged } = found)
  }
  const write = async (next: (orders: StandingOrders) => StandingOrders): Promise<void> => {
    await reread()
    const changed = next(orders)
    try {
      if (damaged) await rename(file, `${file}.damaged-${now}`)
      damaged = false
      await writeFileDurably(nodeDisk, stateDir, 'orders.json', `${JSON.stringify(changed, null, 2)}\n`)
    } catch (error) {
      const advice = await adviceFor(file, unreadableBy(error, file)?.code ?? '')
      const message = `cannot write ${file}: ${messageOf(error)}${advice === '' ? '' : `. ${advice}`}`
      throw new JournalError('JOURNAL_WRITE', message, { cause: error })
    }
    orders = changed
  }
  return {
    get current() {
      return orders
    },
    change(next) {
      const done = changing.then(() => write(next))
      changing = done.catch(() => undefined)
      return done
    },
    refresh() {
      changing = changing.then(reread)
      return changing
    },
  }
}

/** What an order of a newer version forbids is not known here: then nothing may run. */
const isOrders = exactly({
  frozen: optional(fields({ since: time, reason: text, until: optional(time) })),
  disabled: optional(mapOf(fields({ since: time, until: optional(time) }))),
  trusted: optional(listOf(fields({ endpoint: text, identity: mapOf(nullable(text)), since: time }))),
})

async function read(file: string, now: number): Promise<{ orders: StandingOrders; damaged: boolean }> {
  try {
    const found = JSON.parse((await readRegular(file)).toString()) as unknown
    if (!isOrders(found)) throw new Error('it is not of the form that this version knows')
    return { orders: { ...NONE, ...(found as Partial<StandingOrders>) }, damaged: false }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { orders: NONE, damaged: false }
    const advice = await adviceFor(file, unreadableBy(error, file)?.code ?? '')
    const reason = `${file} cannot be read (${messageOf(error)}${advice === '' ? '' : `. ${advice}`}): whoever unfreezes begins it anew`
    return { orders: { ...NONE, frozen: { since: new Date(now).toISOString(), reason } }, damaged: true }
  }
}
