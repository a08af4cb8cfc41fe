#!/usr/bin/env node
/** argv → command → exit code. Asked for its version it answers by itself: scripts ask often. */
import { readFileSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const argv = process.argv.slice(2)
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

if (!(argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V') && isWritten(`${version}\n`))) {
  const { app } = await import('./app.ts')
  const exitCode = await app(argv, { main: fileURLToPath(import.meta.url), version })
  // What is still buffered is written before the process ends (pipes are asynchronous).
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
  )
  process.exit(exitCode)
}

/** Past `process.stdout`, which takes longer to load than all of this. */
function isWritten(text: string): boolean {
  try {
    return writeSync(1, text) === text.length
  } catch {
    // Closed, or a pipe that is full and does not wait.
    return false
  }
}
