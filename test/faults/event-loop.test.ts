/** 1,000 concurrent calls under latency faults: the event loop goes on, as it does without the faults. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chaosMonkey } from '../../src/faults/index.ts'
import { enabled } from './helpers.ts'

const CALLS = 1000
const LATENCY_MS = 300

/** The longest time for which a timer of 1 ms did not come, while the work runs. */
async function longestPause(work: () => Promise<unknown>): Promise<number> {
  let [last, longest] = [performance.now(), 0]
  const timer = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }, 1)
  await work()
  clearInterval(timer)
  return Math.max(longest, performance.now() - last)
}

test(`${CALLS} concurrent calls under ${LATENCY_MS} ms of latency never block the loop`, async (t) => {
  const chaos = enabled()
  const tool = async (n: number) => {
    await sleep(LATENCY_MS)
    return n
  }
  const late = chaosMonkey({ fault_type: 'latency', duration_ms: LATENCY_MS, chaos })(tool)
  const all = (fn: typeof tool) => () => Promise.all(Array.from({ length: CALLS }, (_, i) => fn(i)))
  const [bares, faulties]: [number[], number[]] = [[], []]
  for (let round = 0; round < 4; round++) {
    bares.push(await longestPause(all(tool)))
    faulties.push(await longestPause(all(late)))
  }
  // The least: compiling the code, and whatever else this machine does, are not the faults.
  const [bare, faulty] = [Math.min(...bares), Math.min(...faulties)]
  t.diagnostic(`longest pause: ${faulty.toFixed(1)} ms with faults, ${bare.toFixed(1)} ms with the same calls without`)
  // Blocked even by two of the thousand, it would be 600 ms; a busy machine alone gives some tens.
  assert.ok(faulty < Math.max(LATENCY_MS, 10 * bare), `${faulty} ms, ${bare} ms without faults`)
})
