/** Whether a function that has never shown it may return a promise, from its own text: an error must then be a rejection. */

/** Its text speaks of promises, or cannot be seen. */
export function speaksOfPromises(fn: object): boolean {
  return /\bPromise\b|\basync\b|\bawait\b|\.then\b|\bfetch\b|__awaiter|_asyncToGenerator|\[native code\]/.test(
    textOf(fn),
  )
}

/** Its text shows that it returns no promise: whatever it returns is made of literals and operators, or nothing. */
export function isPlainlySync(fn: object): boolean {
  const text = textOf(fn)
  if (speaksOfPromises(fn)) return false
  const arrow = /^(?:\([^()]*\)|\w+)\s*=>\s*(?![{\s])(.*)$/s.exec(text)
  if (arrow) return isPlain(arrow[1] ?? '')
  return [...text.matchAll(/\breturn\b([^;}\n]*(?:\{[^}]*\})?)/g)].every(([, expression = '']) => isPlain(expression))
}

/** No call, and more than a bare name, which may stand for anything. */
function isPlain(expression: string): boolean {
  const text = withoutTexts(expression).trim()
  if (/[\w$\])]\s*\(|\bnew\b|\byield\b|\?|&&|\|\||,\s*[\w$]+\s*$/.test(text)) return false
  return text === '' || !isName(text) || /^(?:true|false|null|undefined|void 0)$/.test(text)
}

/** `value`, `this.values[i]`: not a number. */
function isName(text: string): boolean {
  const [head = ''] = /^[\w$.]*/.exec(text) ?? []
  return /[a-z_$]/i.test(head) && /^[\w$.][\w$.\][]*;?$/.test(text)
}

function withoutTexts(text: string): string {
  return text.replaceAll(/'[^'\n]*'|"[^"\n]*"|`[^`$]*`/g, '0')
}

function textOf(fn: object): string {
  try {
    return Function.prototype.toString.call(fn)
  } catch {
    return '[native code]'
  }
}
