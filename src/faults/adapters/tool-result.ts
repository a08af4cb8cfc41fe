/** The results of MCP tools: where in them the data is, and how they say that a call has failed. */
import type { Change } from '../call.ts'
import { isPlain } from '../damage/leaves.ts'
import type { PlainObject } from '../damage/leaves.ts'
import type { InjectedFaultError } from '../errors.ts'
import { textOf } from './refusal.ts'

/** As a tool reports an error of its own: the model sees it. */
export function errorResult(error: InjectedFaultError): { content: { type: 'text'; text: string }[]; isError: true } {
  return { content: [{ type: 'text', text: textOf(error) }], isError: true }
}

/**
 * Changes the data of a result and leaves the envelope as the protocol wants it: structuredContent where there is one,
 * together with the text that says the same; else items of content, or the text of one.
 */
export function insideToolResult(result: unknown, change: Change): unknown {
  if (!isPlain(result)) return result
  if (change.fault.mode === 'stale') return change.value(result)
  const { structuredContent: data, content } = result
  if (isPlain(data)) return insideStructured(result, data, change)
  if (!Array.isArray(content)) return result
  const items = content as unknown[]
  const other = change.fault.mode === 'drop' && items.length > 1 ? change.value(items) : insideItems(items, change)
  return other === items ? result : { ...result, content: other }
}

function insideStructured(result: PlainObject, data: PlainObject, change: Change): PlainObject {
  const other = change.value(data)
  if (other === data) return result
  const text = typeof other === 'string' ? other : JSON.stringify(other)
  const rest = Object.fromEntries(Object.entries(result).filter(([name]) => name !== 'structuredContent'))
  const content = Array.isArray(rest['content'])
    ? rest['content'].map((item: unknown) => (mirrors(item, data) ? { ...item, text } : item))
    : rest['content']
  // Cut JSON is no map any more: then there is only its text.
  return { ...rest, content, ...(isPlain(other) ? { structuredContent: other } : {}) }
}

/** A text item that is the JSON of the structured content, as the protocol recommends for older clients. */
function mirrors(item: unknown, data: PlainObject): item is PlainObject {
  if (!isPlain(item) || typeof item['text'] !== 'string') return false
  try {
    return JSON.stringify(JSON.parse(item['text'])) === JSON.stringify(data)
  } catch {
    return false
  }
}

/** Of an item, the first of these that is there. */
const FIELDS = ['text', 'data', 'blob']

/** Changes the first item in which something can be changed. */
export function insideItems(items: readonly unknown[], change: Change, fields = FIELDS): readonly unknown[] {
  for (const [i, item] of items.entries()) {
    const other = insideItem(item, change, fields)
    if (other !== item) return items.map((same, at) => (at === i ? other : same))
  }
  return items
}

function insideItem(item: unknown, change: Change, fields: readonly string[]): unknown {
  if (!isPlain(item)) return item
  for (const field of fields) {
    const text = item[field]
    if (typeof text !== 'string') continue
    const other = change.value(text)
    return other === text ? item : { ...item, [field]: other }
  }
  const resource = insideItem(item['resource'], change, fields)
  return resource === item['resource'] ? item : { ...item, resource }
}
