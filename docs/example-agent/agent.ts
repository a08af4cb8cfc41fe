/** A small support agent with three tools. Its plan is fixed, where a real one would ask a model which tool comes next. */
import { wrap } from 'chaos-agents/faults'
import type { Retry } from './retry.ts'

/** Each tool is wrapped: that gives its calls a name, and breaks nothing by itself. */
export function makeTools() {
  const calls = { search_docs: 0, get_order: 0, send_reply: 0 }
  const tool = <A, R>(name: keyof typeof calls, run: (input: A) => R) => {
    const remote = wrap(
      async (input: A): Promise<R> => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        return run(input)
      },
      { component: name },
    )
    return (input: A): Promise<R> => {
      calls[name]++
      return remote(input)
    }
  }
  return {
    calls,
    search_docs: tool('search_docs', (query: string) => [`How to ${query}`]),
    get_order: tool('get_order', (id: string) => ({ id, state: 'shipped' })),
    send_reply: tool('send_reply', (text: string) => text.length),
  }
}

export async function answer(tools: ReturnType<typeof makeTools>, question: string, retry: Retry): Promise<string> {
  const order = await retry(() => tools.get_order(question))
  // Documents make an answer better, but it can do without.
  const docs = await retry(() => tools.search_docs(question)).catch(() => [])
  const text = `Your order ${order.id} is ${order.state}. ${docs[0] ?? 'More later.'}`
  await retry(() => tools.send_reply(text))
  return text
}
