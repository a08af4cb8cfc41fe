/** What `ts.mjs` registers: types are removed, file by file; imports name their file, so nothing is resolved. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'

const compiled = fileURLToPath(new URL('../node_modules/.cache/ts/', import.meta.url))

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !/\.ts($|\?)/.test(url)) return next(url, context)
  const file = fileURLToPath(url)
  return {
    format: 'module',
    shortCircuit: true,
    source: await javascriptOf(basename(file), readFileSync(file, 'utf8')),
  }
}

/** `name` is the file's, beside which the debugger finds it, wherever the clone lies. */
async function javascriptOf(name, text) {
  const kept = compiled + createHash('sha256').update(`${name}\0${text}`).digest('hex')
  try {
    return readFileSync(kept, 'utf8')
  } catch {
    // Loaded only where it is needed.
    const { transform } = await import('esbuild')
    const options = { loader: 'ts', format: 'esm', target: 'node20', sourcefile: name, sourcemap: 'inline' }
    const { code } = await transform(text, options)
    keep(kept, code)
    return code
  }
}

/** Appears whole or not at all; where it cannot be written, the next process compiles again. */
function keep(path, code) {
  const temporary = `${path}.${process.pid}`
  try {
    mkdirSync(compiled, { recursive: true })
    writeFileSync(temporary, code)
    renameSync(temporary, path)
  } catch {
    // A read-only or foreign clone.
  }
}
