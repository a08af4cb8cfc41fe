/** The library by itself: its import loads no package and nothing else of ours. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../../src/faults/', import.meta.url))

test('no file of the library imports anything but files of the library; only what listens takes modules of Node', () => {
  const foreign = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) =>
      [...readFileSync(folder + name, 'utf8').matchAll(/(?:from |import\()'([^']+)'/g)].map(
        ([, to]) => `${name}: ${to ?? ''}`,
      ),
    )
    .filter((line) => !/: \.\.?\/[\w/.-]+\.ts$/.test(line) && !/^connect\/(listen|owner)\.ts: node:\w/.test(line))
  assert.deepEqual(foreign, [])
  const loadsOwner = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && /'\.[\w/.]*\/owner\.ts'/.test(readFileSync(folder + name, 'utf8')),
  )
  assert.deepEqual(loadsOwner, ['connect/listen.ts'])
})

test('importing chaos-agents/faults, its adapters and chaos-agents loads no dependency; the time it takes is printed', (t) => {
  for (const [entry, name] of [
    ['chaos-agents/faults', 'chaosMonkey'],
    ['chaos-agents/faults/adapters', 'wrapFetch'],
    ['chaos-agents', 'chaosMonkey'],
  ] as const) {
    // Resolved by the package's own name, as a consumer does, with every file that is loaded written down.
    const script = `
      import { register } from 'node:module'
      import { MessageChannel } from 'node:worker_threads'
      const { port1, port2 } = new MessageChannel()
      const loaded = []
      port1.on('message', (url) => loaded.push(url)); port1.unref()
      const hook = 'let port; export function initialize(data) { port = data } export async function load(url, context, next) { port.postMessage(url); return next(url, context) }'
      register('data:text/javascript,' + encodeURIComponent(hook), import.meta.url, { data: port2, transferList: [port2] })
      const library = await import(${JSON.stringify(entry)})
      await new Promise((resolve) => setTimeout(resolve, 100))
      console.log(JSON.stringify({ loaded, names: Object.keys(library) }))`
    const cwd = fileURLToPath(new URL('../..', import.meta.url))
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd,
      encoding: 'utf8',
    })
    assert.notEqual(stdout, '', stderr)
    const { loaded, names } = JSON.parse(stdout) as { loaded: string[]; names: string[] }
    assert.ok(names.includes(name))
    assert.deepEqual(
      loaded.filter((url) => !/\/dist\/(faults\/.*|index)\.js$/.test(url)),
      [],
    )
    const timed = `const begun = performance.now(); await import(${JSON.stringify(entry)}); console.log(performance.now() - begun)`
    const time = spawnSync(process.execPath, ['--input-type=module', '-e', timed], { cwd, encoding: 'utf8' }).stdout
    t.diagnostic(`import of ${entry}: ${Number(time).toFixed(1)} ms, ${loaded.length} files`)
  }
})
