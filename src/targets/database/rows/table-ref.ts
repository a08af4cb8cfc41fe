/** How a table is named. */

export interface TableRef {
  /** The resource's id: `public.users`, `"My Schema"."select"`. */
  id: string
  schema: string
  table: string
}
