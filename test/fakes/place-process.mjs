/**
 * One place as a process of its own: a value that can be read and set, over a Unix socket. What it holds outlives it, as a
 * disk does; `place-process.mjs SOCKET FILE ID`. Plain JavaScript, so that many can be started quickly.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [socket, file, id] = process.argv.slice(2)
const read = () => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { value: 'as it was' }
  }
}
let state = read()
/** How long each answer takes, and whether values are refused. */
let how = { slow_ms: 0, refuses: false }

createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const body = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'))
    const answer = (status, more = {}) => response.writeHead(status).end(JSON.stringify({ id, ...state, ...more }))
    if (request.url === '/how') {
      how = body
      answer(200)
      return
    }
    setTimeout(() => {
      if (request.method === 'GET') answer(200)
      else if (how.refuses) answer(500, { error: 'read-only file system' })
      else {
        state = body
        writeFileSync(file, JSON.stringify(state))
        answer(200)
      }
    }, how.slow_ms)
  })
}).listen(socket)
process.on('disconnect', () => process.exit(0))
