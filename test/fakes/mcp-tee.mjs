/** Runs a command and writes down every byte of its stdin and stdout: mcp-tee.mjs FILE COMMAND [ARGS…] → FILE.in, FILE.out. */
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'

const [file, command, ...args] = process.argv.slice(2)
const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
process.stdin.on('data', (bytes) => (appendFileSync(`${file}.in`, bytes), child.stdin.write(bytes)))
process.stdin.on('end', () => child.stdin.end())
child.stdout.on('data', (bytes) => (appendFileSync(`${file}.out`, bytes), process.stdout.write(bytes)))
child.stdin.on('error', () => undefined)
child.on('exit', (code, signal) => (process.exitCode = signal === null ? code : 1))
