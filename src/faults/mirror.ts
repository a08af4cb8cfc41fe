/** An object that is the other one in everything but a few properties: its methods run on the object itself, so private fields are found. */

export interface Reflection {
  /** In place of the property; undefined where it is the object's own. */
  instead(property: PropertyKey): unknown
  /** What a method has returned, as the caller gets it. */
  carried?(result: unknown): unknown
}

type Method = (...args: unknown[]) => unknown

export function mirrorOf<T extends object>(object: T, { instead, carried = (result) => result }: Reflection): T {
  const methods = new Map<Method, Method>()
  const bound = (method: Method): Method => {
    const known = methods.get(method)
    if (known) return known
    const made = new Proxy(method, {
      apply(_, self: unknown, args: unknown[]) {
        const result: unknown = Reflect.apply(method, self === mirror ? object : self, args)
        return result === object ? mirror : carried(result)
      },
    })
    methods.set(method, made)
    return made
  }
  const mirror: T = new Proxy(surfaceOf(object), {
    get(surface, property) {
      const fixed = surface === object ? Reflect.getOwnPropertyDescriptor(object, property) : undefined
      // What can never change must be shown as it is.
      if (fixed?.configurable === false && fixed.writable === false) return fixed.value as unknown
      const other = instead(property)
      if (other !== undefined) return other
      const value: unknown = Reflect.get(object, property, object)
      return typeof value === 'function' && property !== 'constructor' ? bound(value as Method) : value
    },
    set: (_, property, value) => Reflect.set(object, property, value, object),
    has: (_, property) => Reflect.has(object, property),
    apply: (_, self: unknown, args: unknown[]) =>
      Reflect.apply<unknown, unknown[], unknown>(object as unknown as Method, self, args),
    deleteProperty: (_, property) => Reflect.deleteProperty(object, property),
    getPrototypeOf: () => Reflect.getPrototypeOf(object),
    ownKeys: () => Reflect.ownKeys(object),
    getOwnPropertyDescriptor(surface, property) {
      const own = Reflect.getOwnPropertyDescriptor(object, property)
      return own && surface !== object ? { ...own, configurable: true } : own
    },
  })
  return mirror
}

/** A frozen object could not be shown with other properties: then something empty stands in front of it. */
function surfaceOf<T extends object>(object: T): T {
  const { configurable = true } = Reflect.getOwnPropertyDescriptor(object, 'then') ?? {}
  if (Object.isExtensible(object) && configurable) return object
  return (typeof object === 'function' ? () => undefined : {}) as T
}
