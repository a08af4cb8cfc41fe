/** Passes HTTP on and writes down what went both ways, to compare the two sides of what stands between two of them. */
import { createServer, request as send } from 'node:http'
import type { Server } from 'node:http'

export interface Exchange {
  method: string
  url: string
  headers: string[]
  body: string
  status: number
  answerHeaders: string[]
  answer: string
}

/** Not listening yet. An exchange is in `seen` from its beginning, and grows. */
export function httpTap(upstream: () => URL): { server: Server; seen: Exchange[] } {
  const seen: Exchange[] = []
  const server = createServer((request, response) => {
    const { method = '', url = '', rawHeaders } = request
    const exchange: Exchange = { method, url, headers: rawHeaders, body: '', status: 0, answerHeaders: [], answer: '' }
    seen.push(exchange)
    const { hostname, port } = upstream()
    const forwarded = send({ hostname, port, method, path: url, headers: rawHeaders as never, agent: false })
    request.on('data', (bytes: Buffer) => ((exchange.body += bytes.toString('latin1')), forwarded.write(bytes)))
    request.on('end', () => forwarded.end())
    response.on('close', () => forwarded.destroy())
    forwarded.on('error', () => response.destroy())
    forwarded.on('response', (answer) => {
      exchange.status = answer.statusCode ?? 0
      exchange.answerHeaders = answer.rawHeaders
      response.writeHead(exchange.status, answer.rawHeaders).flushHeaders()
      answer.on('data', (bytes: Buffer) => ((exchange.answer += bytes.toString('latin1')), response.write(bytes)))
      answer.on('end', () => response.end())
      answer.on('error', () => response.destroy())
    })
  })
  return { server, seen }
}
