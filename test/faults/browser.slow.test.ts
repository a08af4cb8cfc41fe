/** The library in a browser's bundle (A13): esbuild resolves the built package as a page's build does, and the outcome runs without Node. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

const PAGE = `
import { ChaosError, Chaos, chaosMonkey, connectChaos, enable } from 'chaos-agents/faults'
import { wrapFetch } from 'chaos-agents/faults/adapters'
import { wrap } from 'chaos-agents'

globalThis.said = (async () => {
  enable()
  const broken = chaosMonkey({ fault_type: 'error', error_code: 503 })(async () => 'ok')
  const first = await broken().catch((error) => error instanceof ChaosError && error.status)
  const get = wrapFetch(async () => new Response('ok'), { faults: [{ fault_type: 'error', error_code: 429 }] })
  const second = (await get('/api')).status
  const chaos = new Chaos({ enabled: true })
  const held = wrap(async () => 'held', { chaos, faults: [{ fault_type: 'resource_exhaustion', mode: 'hold_memory', hold_bytes: 1, duration_ms: 1 }] })
  const lease = chaos.lease({ faults: [], lease_ms: 1000 })
  lease.end()
  const fourth = await connectChaos({ app: 'x', socket: '/x' }).catch((error) => error.message)
  return [first, second, await held(), fourth]
})()
`

for (const format of ['esm', 'cjs'] as const)
  test(`a bundle for browsers is built from ${format} code, has nothing of Node in it, and breaks calls in a page`, async () => {
    const contents =
      format === 'esm' ? PAGE : PAGE.replaceAll(/import (\{[^}]*\}) from ('[^']+')/g, 'const $1 = require($2)')
    const { outputFiles, warnings } = await build({
      stdin: { contents, resolveDir: root },
      platform: 'browser',
      bundle: true,
      write: false,
      logLevel: 'silent',
    })
    const text = outputFiles[0]?.text ?? ''
    assert.deepEqual(warnings, [])
    assert.doesNotMatch(text, /["'](?:node:|(?:crypto|fs|http|net|async_hooks|worker_threads)["'])/)
    let timers = 0
    // As in a page: timers are numbers, and there is neither process nor Buffer.
    const page = vm.createContext({ performance, AbortSignal, AbortController, Response, Headers, ReadableStream, URL })
    page['setTimeout'] = (work: () => void, ms: number) => (setTimeout(work, ms), ++timers)
    page['clearTimeout'] = () => undefined
    vm.runInContext(text, page)
    const said = (await page['said']) as unknown[]
    assert.deepEqual([...said].slice(0, 3), [503, 429, 'held'])
    assert.match(String(said[3]), /a browser cannot listen for a daemon/)
  })
