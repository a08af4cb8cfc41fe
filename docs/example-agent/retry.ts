/** Two ways to try again: the one that many agents have, and the one that survives. */

export type Retry = <T>(call: () => Promise<T>) => Promise<T>

/** Again at once until it works: one question becomes as many calls as an outage has room for. */
export const atOnce: Retry = async (call) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (attempt >= 1_000) throw error
    }
  }
}

/** Three times, each after twice the pause and a random part of it, and not before the service asks for it. */
export const withBackOff: Retry = async (call) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (attempt >= 3) throw error
      const asked = (error as { retry_after_seconds?: number }).retry_after_seconds ?? 0
      const pause = Math.max(asked * 1_000, 50 * 2 ** attempt * (1 + Math.random()))
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
}
