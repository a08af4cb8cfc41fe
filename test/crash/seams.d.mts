/** Called with every point that is passed. */
type Point = (name: string) => void

export function hookPostgres(point: Point): void
export function hookHttp(point: Point): void
export function hookAgent<Target>(target: Target, point: Point): Target
