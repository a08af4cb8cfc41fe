/** What an operator has said and what must outlive a restart: frozen, disabled experiments, and the systems that are trusted. */

/** Times are ISO 8601, UTC. An `until` that has passed means that the order is over. */
export interface StandingOrders {
  frozen?: { since: string; reason: string; until?: string }
  disabled: Record<string, { since: string; until?: string }>
  trusted: { endpoint: string; identity: Record<string, string | null>; since: string }[]
}

/** Where they are kept. */
export interface Orders {
  /** As they were known last. */
  readonly current: Readonly<StandingOrders>
  /** Durable when it resolves; only then `current` shows it. Changes are made one after the other. */
  change(next: (orders: StandingOrders) => StandingOrders): Promise<void>
  /** Looks whether somebody else has changed them since, as commands do that no daemon answers. */
  refresh(): Promise<void>
}

/** Why nothing may be started now; undefined when something may. */
export function frozenNow(orders: Readonly<StandingOrders>, now: number): StandingOrders['frozen'] {
  return orders.frozen && !isOver(orders.frozen, now) ? orders.frozen : undefined
}

export function disabledNow(
  orders: Readonly<StandingOrders>,
  experiment: string,
  now: number,
): { until?: string } | undefined {
  const order = Object.hasOwn(orders.disabled, experiment) ? orders.disabled[experiment] : undefined
  if (!order || isOver(order, now)) return undefined
  return order.until === undefined ? {} : { until: order.until }
}

function isOver({ until }: { until?: string }, now: number): boolean {
  return until !== undefined && Date.parse(until) <= now
}
