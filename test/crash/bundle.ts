/** The killable worker as one file: a process that loads one file starts in half the time, and hundreds are started. */
import { build } from 'esbuild'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Bundles `test/crash/worker.mjs` of a tree (this one, or a copy with a bug put into it) to a file. */
export async function bundleWorker(to: string, tree = ROOT): Promise<void> {
  await build({
    entryPoints: [join(tree, 'test/crash/worker.mjs')],
    outfile: to,
    ...{ bundle: true, platform: 'node', format: 'esm', logLevel: 'error' },
    // The driver looks for its native variant only when it is asked for.
    external: ['pg-native'],
    banner: { js: "import { createRequire as r } from 'node:module'; const require = r(import.meta.url);" },
  })
}
