/** Which run may begin on a system that several are recovered on: the newest first, on each system by itself. */

export class RecoveryOrder {
  /** By system, the runs that are still to be done there. */
  readonly #queues = new Map<string, string[]>()
  #waiting: { run: string; systems: readonly string[]; go(): void }[] = []

  /** Runs in the order in which they are to be undone wherever they meet. */
  constructor(runs: readonly { run: string; systems: readonly string[] }[]) {
    for (const { run, systems } of runs)
      for (const system of new Set(systems)) this.#queues.set(system, [...(this.#queues.get(system) ?? []), run])
  }

  /** Resolves when the run may begin on one of these systems at least; at once on one that it was not announced for. */
  wait(run: string, systems: readonly string[]): Promise<void> {
    return new Promise((go) => {
      this.#waiting.push({ run, systems, go })
      this.#wake()
    })
  }

  /** The run is done with the system, or without one with all of them. */
  leave(run: string, system?: string): void {
    for (const [name, queue] of this.#queues)
      if (system === undefined || system === name)
        this.#queues.set(
          name,
          queue.filter((one) => one !== run),
        )
    this.#wake()
  }

  #wake(): void {
    const isFirst = (run: string, system: string): boolean => {
      const queue = this.#queues.get(system) ?? []
      return !queue.includes(run) || queue[0] === run
    }
    const ready = this.#waiting.filter(
      ({ run, systems }) => systems.length === 0 || systems.some((system) => isFirst(run, system)),
    )
    this.#waiting = this.#waiting.filter((one) => !ready.includes(one))
    for (const { go } of ready) go()
  }
}
