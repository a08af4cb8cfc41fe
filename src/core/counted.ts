/** `1 run`, `3 runs`, `2 entries`. */
export function counted(n: number, noun: string, plural = `${noun}s`): string {
  return `${n} ${n === 1 ? noun : plural}`
}

/** `a; b; c; and 7 more`: in one sentence, where there may be many. */
export function listed(all: readonly string[], most = 10): string {
  const more = all.length > most ? [`and ${all.length - most} more`] : []
  return [...all.slice(0, most), ...more].join('; ')
}
