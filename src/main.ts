#!/usr/bin/env node
/** argv → command → exit code. */
import { fileURLToPath } from 'node:url'
import { app } from './app.ts'

const exitCode = await app(process.argv.slice(2), fileURLToPath(import.meta.url))
// What is still buffered is written before the process ends (pipes are asynchronous).
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))))
process.exit(exitCode)
