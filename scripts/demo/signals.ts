/** Ctrl-C as the orderly end of the demo; a second one explains. */

/** npm hands on the Ctrl-C that the terminal has sent us already: what comes so soon after the first is the same one. */
const SAME_MS = 1_000

/** Aborts `stop` at the first SIGINT, SIGTERM or SIGHUP, or when nobody reads our output any more. */
export function onStopWish(stop: AbortController, say: (text: string) => void): void {
  let first = 0
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!stop.signal.aborted) {
        first = performance.now()
        stop.abort()
      } else if (performance.now() - first > SAME_MS) {
        say('the rollback is still running, and after it comes the proof: neither is skipped')
      }
    })
  }
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stop.abort())
}
