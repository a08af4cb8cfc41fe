/**
 * The smallest MCP server, for what a real one does not do when asked. Tools: `echo` gives its arguments back, `die` ends
 * the process with a code or a signal, `never` does not answer. `--stubborn` ignores the end of stdin and SIGTERM.
 */
import { createInterface } from 'node:readline'

const stubborn = process.argv.includes('--stubborn')
if (stubborn) {
  process.on('SIGTERM', () => process.stderr.write('SIGTERM is ignored\n'))
  setInterval(() => undefined, 1000)
}
const answer = (id, result) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result })}\n`)
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  process.stderr.write(`got ${method} ${id ?? params?.requestId}\n`)
  if (method !== 'tools/call') return id === undefined ? undefined : answer(id, {})
  const { name, arguments: given = {} } = params
  if (name === 'echo') answer(id, { content: [{ type: 'text', text: JSON.stringify(given) }] })
  if (name === 'pid') answer(id, { content: [{ type: 'text', text: String(process.pid) }] })
  if (name === 'die' && given.signal) process.kill(process.pid, given.signal)
  if (name === 'die' && given.code !== undefined) process.exit(given.code)
})
