/** The configuration of a daemon as it is now. */
import type { Config } from '../../core/experiment.ts'

export class Configuration {
  #now: Config
  readonly #load: () => Promise<Config>

  constructor(first: Config, load: () => Promise<Config>) {
    this.#now = first
    this.#load = load
  }

  get now(): Config {
    return this.#now
  }

  /** Reads it anew; it counts when `use` has taken it. Rejects with ConfigError, and then the one before stays. */
  async reload(use: (next: Config) => Promise<void>): Promise<Config> {
    const next = await this.#load()
    await use(next)
    return (this.#now = next)
  }
}
