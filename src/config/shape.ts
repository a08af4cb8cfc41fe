/** Looks into a zod schema: which fields it knows, what is said about a field. */
import type { z, ZodType } from 'zod'

type Def = z.core.$ZodTypes['_zod']['def']

/** The names of the fields that the schema accepts where it wants a map; none where it wants something else. */
export function fieldsOf(schema: ZodType): string[] {
  const objects = options(schema).filter((def) => def.type === 'object')
  return [...new Set(objects.flatMap((def) => Object.keys(def.shape)))]
}

/** The schemas (several under a union) that a value at `path` has to fit. */
export function schemasAt(schema: ZodType, path: readonly PropertyKey[]): ZodType[] {
  const [step, ...rest] = path
  if (step === undefined) return [schema]
  return options(schema)
    .flatMap((def) => {
      if (def.type === 'object') return def.shape[String(step)] ?? []
      if (def.type === 'array') return def.element
      if (def.type === 'record') return def.valueType
      return []
    })
    .flatMap((child) => schemasAt(child as ZodType, rest))
}

/** What to write, from the schema's own `.meta({ examples: ['…'] })`. */
export function exampleOf(schemas: readonly ZodType[]): string | undefined {
  for (const schema of schemas) {
    const examples = schema.meta()?.['examples']
    if (Array.isArray(examples) && typeof examples[0] === 'string') return examples[0]
  }
  return undefined
}

/** The schema's definition with everything around it taken off; several for a union. */
function options(schema: unknown): Def[] {
  const def = (schema as { _zod: { def: Def } })._zod.def
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'nonoptional':
    case 'default':
    case 'prefault':
    case 'catch':
    case 'readonly':
      return options(def.innerType)
    case 'lazy':
      return options(def.getter())
    case 'pipe':
      return options(def.in)
    case 'union':
      return def.options.flatMap(options)
    case 'intersection':
      return [...options(def.left), ...options(def.right)]
    default:
      return [def]
  }
}
