/** Every way in which a power cut may leave a disk: what was synced, with any part of what was not. */
import type { Random } from '../../src/core/random.ts'
import { altered } from '../fakes/simulated-disk.ts'
import type { Change, Frozen, NameChange, Survival } from '../fakes/simulated-disk.ts'

/** Disks write whole sectors, in any order. */
const SECTOR = 512
/** Random picks per moment, besides the ones that are listed. */
const PICKS = 8
/** Of the tears that leave zeros every so manieth is tried; of the others every one. */
const ZEROS_EVERY = 9

export interface Crash extends Survival {
  how: string
}

/** A few of them, for moments that there are very many of. */
export function* someCrashesAt(random: Random): Generator<Crash> {
  yield { how: 'only what was synced', name: () => false, content: (durable) => durable }
  for (let pick = 0; pick < 2; pick++) yield anyPart(random.fork(`${pick}`), pick)
}

export function* crashesAt(frozen: Frozen, random: Random): Generator<Crash> {
  const changes = unsynced(frozen)
  yield { how: 'only what was synced', name: () => false, content: (durable) => durable }
  if (changes.length === 0) return
  yield { how: 'everything', name: () => true, content: all }
  yield { how: 'names are lost', name: () => false, content: all }
  yield { how: 'bytes are lost', name: () => true, content: (durable) => durable }
  // In the order they were made, up to any of them.
  for (const { order } of changes.slice(0, -1)) {
    yield {
      how: `up to change ${order}`,
      name: (change) => change.order <= order,
      content: (durable, pending) =>
        all(
          durable,
          pending.filter((change) => change.order <= order),
        ),
    }
  }
  yield* torn(changes)
  for (let pick = 0; pick < PICKS; pick++) yield anyPart(random.fork(`${pick}`), pick)
}

function all(durable: Buffer, pending: Change[]): Buffer {
  return pending.reduce(altered, durable)
}

type Any = Change | NameChange

function unsynced({ folders, files }: Frozen): Any[] {
  return [...folders.flatMap((f) => f.pending), ...[...files.values()].flatMap((f) => f.pending)].sort(
    (a, b) => a.order - b.order,
  )
}

/** The last write ends at each of its bytes; or the file has its full size already, and zeros from there on. */
function* torn(changes: Any[]): Generator<Crash> {
  const last = changes.findLast((change): change is Change => 'bytes' in change)
  if (!last?.bytes) return
  const { order, bytes } = last
  for (let kept = 1; kept < bytes.length; kept++) {
    for (const zeros of kept % ZEROS_EVERY === 0 ? [false, true] : [false]) {
      const part = zeros
        ? Buffer.concat([bytes.subarray(0, kept), Buffer.alloc(bytes.length - kept)])
        : bytes.subarray(0, kept)
      yield {
        how: `change ${order} torn at byte ${kept}${zeros ? ', zeros behind' : ''}`,
        name: () => true,
        content: (durable, pending) =>
          all(
            durable,
            pending.map((change) => (change.order === order ? { ...change, bytes: part } : change)),
          ),
      }
    }
  }
}

/** Any names, and of every file any sectors; what is missing before the end is zeros, or what was there before. */
function anyPart(random: Random, pick: number): Crash {
  return {
    how: `pick ${pick}`,
    name: () => random.int(2) === 0,
    content(durable, pending) {
      const whole = all(durable, pending)
      const cut = durable.length + random.int(Math.max(1, whole.length - durable.length + 1))
      const size = random.int(3) === 0 ? cut : whole.length
      const left = Buffer.alloc(Math.max(size, 0))
      durable.copy(left)
      for (let at = 0; at < left.length; at += SECTOR) {
        if (random.int(2) === 0) whole.copy(left, at, at, Math.min(at + SECTOR, left.length))
      }
      return left
    },
  }
}
