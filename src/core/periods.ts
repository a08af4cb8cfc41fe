/** Windows and blackouts as data: when an experiment may run at all. What they mean is in schedule/calendar.ts. */

/** As written, for people. */
export interface Written {
  text: string
  reason?: string
}

export type Period = Written &
  (
    | {
        /** Days of the week it begins on, 0 is Sunday; minutes of the day. Over midnight, `to` is beyond 1440. */
        days: readonly number[]
        from: number
        to: number
      }
    /** Once: wall times, `to` not included. */
    | { days?: undefined; from: number; to: number }
  )

export interface CalendarRules {
  /** Lists that must each allow an instant, in one of their periods: those of the settings, the experiment's own. An empty one allows all. */
  windows: readonly (readonly Period[])[]
  blackouts: readonly Period[]
}
