/**
 * Whether data that was read from the state folder, or is to be written there, has the form that we rely on. By hand: loading a schema library would
 * take `chaos status` longer than everything else that it does.
 */
export type Shape = (value: unknown) => boolean

export const text: Shape = (value) => typeof value === 'string'
/** One that JSON has. */
export const number: Shape = (value) => Number.isFinite(value)
export const flag: Shape = (value) => typeof value === 'boolean'
/** ISO 8601. */
export const time: Shape = (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value))
/** One that JSON writes as an object, too. */
export const object: Shape = (value) =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  typeof (value as { toJSON?: unknown }).toJSON !== 'function'

export const optional =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || shape(value)

export const nullable =
  (shape: Shape): Shape =>
  (value) =>
    value === null || shape(value)

export const oneOf =
  (...shapes: Shape[]): Shape =>
  (value) =>
    shapes.some((shape) => shape(value))

export const listOf =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(shape)

export const mapOf =
  (shape: Shape): Shape =>
  (value) =>
    // JSON leaves out what is undefined.
    object(value) && Object.values(value as object).every((one) => one === undefined || shape(one))

/** An object with these fields; more are fine, a newer version may have added them. */
export const fields = (shapes: Record<string, Shape>): Shape => {
  const each = Object.entries(shapes)
  return (value) => object(value) && each.every(([key, shape]) => shape((value as Record<string, unknown>)[key]))
}

/** An object with these fields and no other. */
export const exactly =
  (shapes: Record<string, Shape>): Shape =>
  (value) =>
    fields(shapes)(value) && Object.keys(value as object).every((key) => Object.hasOwn(shapes, key))
