/** Prints the nanoseconds that one call takes: `faults-program.ts sync|async bare|off|zero|peer-off|peer-zero [PEER]`. */
import { Chaos, chaosMonkey } from '../src/faults/index.ts'

type Fn = (n: number) => number | Promise<number>
type Peer = { cruel(fn: Fn, options: object): Fn }

const ASYNC_CALLS = 200_000
const SYNC_CALLS = 5_000_000
const BATCHES = 5

const [kind, side, peer = ''] = process.argv.slice(2)
const fn: Fn = kind === 'async' ? async (n) => Promise.resolve(n + 1) : (n) => n + 1
const call = await wrapped(side ?? '')
const batches: number[] = []
// A synchronous function of the peer's returns a promise: there is no other way to call it than to await it.
const awaits = kind === 'async' || side?.startsWith('peer') === true
for (let batch = 0; batch < BATCHES; batch++) batches.push(awaits ? await awaited(call) : direct(call))
// The first ones are compiled while they run.
process.stdout.write(String(Math.min(...batches.slice(1))))

async function wrapped(name: string): Promise<Fn> {
  const fault = { fault_type: 'error', error_code: 503, probability: 0 } as const
  if (name === 'bare') return fn
  if (name === 'off') return chaosMonkey({ ...fault, chaos: new Chaos() })(fn)
  if (name === 'zero') return chaosMonkey({ ...fault, chaos: new Chaos({ enabled: true }) })(fn)
  const { cruel } = (await import(peer)) as Peer
  return cruel(fn, name === 'peer-off' ? { enabled: false, fail: 0 } : { fail: 0 })
}

async function awaited(work: Fn): Promise<number> {
  const begun = performance.now()
  let sum = 0
  for (let i = 0; i < ASYNC_CALLS; i++) sum += await work(i)
  return ((performance.now() - begun) * 1e6) / ASYNC_CALLS + 0 * sum
}

function direct(work: Fn): number {
  const begun = performance.now()
  let sum = 0
  for (let i = 0; i < SYNC_CALLS; i++) sum += work(i) as number
  return ((performance.now() - begun) * 1e6) / SYNC_CALLS + 0 * sum
}
