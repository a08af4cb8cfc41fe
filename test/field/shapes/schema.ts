/** Makes a schema from the facts of a shape, the same each time: statements that create it, and those that fill it. */
import { seededRandom } from '../../../src/core/random.ts'
import type { Random } from '../../../src/core/random.ts'
import type { KeyKind, Kind, Shape } from './facts.ts'
import { CHECKS, KEYS, ORDINARY, PRELUDE, TRACES, TRIGGERS } from './parts.ts'
import type { Column } from './parts.ts'

export interface Schema {
  create: string
  /** A few rows for every table, as a staging system has them. */
  fill: string
  /** Ids of the tables, by kind; leaves of partitioned tables are apart. */
  tables: Map<Kind | 'leaf' | 'books', string[]>
}

/** Rows in each table. */
const ROWS = 6

export function schemaOf(shape: Shape): Schema {
  return new Maker(shape).make()
}

interface Parent {
  id: string
  key: KeyKind
}

class Maker {
  readonly #shape: Shape
  readonly #random: Random
  readonly #create: string[] = [PRELUDE]
  readonly #fill: string[] = []
  readonly #tables: Schema['tables'] = new Map()
  readonly #parents: Parent[] = []
  /** Tables with a trigger that fires for INSERT: what refers to them must wait until they have rows. */
  readonly #fired: Parent[] = []
  #made = 0

  constructor(shape: Shape) {
    this.#shape = shape
    this.#random = seededRandom(shape.name)
  }

  make(): Schema {
    const { schemas, tables, books } = this.#shape
    for (const schema of schemas) if (schema !== 'public') this.#create.push(`create schema "${schema}"`)
    if (Object.keys(TRIGGERS).some((kind) => tables[kind as Kind] !== undefined)) {
      this.#create.push(TRACES)
      for (const id of ['public.changes', 'public.totals', 'public.gone']) this.#note('base', id)
    }
    for (const kind of ORDER) for (let i = 0; i < (tables[kind] ?? 0); i++) this.#table(kind, i)
    for (const [name, columns] of Object.entries(books)) {
      this.#note('books', `public.${name}`)
      this.#create.push(`create table public.${name} (${columns})`)
    }
    return { create: this.#create.join(';\n'), fill: this.#fill.join(';\n'), tables: this.#tables }
  }

  #note(kind: Kind | 'leaf' | 'books', id: string): void {
    this.#tables.set(kind, [...(this.#tables.get(kind) ?? []), id])
  }

  #name(kind: Kind, suffix = ''): string {
    const { schemas } = this.#shape
    const schema = schemas[this.#made++ % schemas.length] ?? 'public'
    return `${/\W/.test(schema) ? `"${schema}"` : schema}.${kind.replaceAll(' ', '_')}_${this.#made}${suffix}`
  }

  #keyKind(): KeyKind {
    return this.#shape.keys[this.#made % this.#shape.keys.length] ?? 'serial'
  }

  /** Three to eight ordinary columns, `updated_at` and a title among them where asked for. */
  #ordinary(needed: readonly string[] = ['title']): Column[] {
    const more = this.#random.shuffle(ORDINARY).slice(0, 3 + this.#random.int(6))
    const names = new Set([
      ...needed,
      ...more.map((c) => c.name),
      ...(more.some((c) => c.name === 'doubled') ? ['title'] : []),
    ])
    return ORDINARY.filter((c) => names.has(c.name))
  }

  #add(kind: Kind, id: string, columns: readonly Column[], more: readonly string[] = [], after = ''): void {
    this.#note(kind, id)
    this.#create.push(
      `create table ${id} (${[...columns.map((c) => `${c.name} ${c.is}`), ...more].join(', ')}) ${after}`,
    )
    const filled = columns.filter((c) => c.value !== undefined)
    const into = filled.length === 0 ? 'default values' : `(${filled.map((c) => c.name).join(', ')})`
    const rows = `select ${filled.map((c) => c.value).join(', ')} from generate_series(1, ${kind === 'one row' ? 1 : ROWS}) i`
    this.#fill.push(`insert into ${id} ${into} ${filled.length === 0 ? '' : rows}`)
  }

  /** A primary key, and what others need to refer to it. */
  #primary(kind: KeyKind): Column {
    const { is, value } = KEYS[kind]
    return { name: 'id', is: `${is} primary key`, ...(value === undefined ? {} : { value }) }
  }

  /** A column that refers to a table. */
  #reference(name: string, parent: Parent | undefined, more = ''): Column {
    const { ref, of } = KEYS[parent?.key ?? 'serial']
    const { references } = this.#shape
    // What must be there cannot be emptied when the other row goes.
    const clause =
      more.includes('not null') || more.includes('primary') ? references?.replace('on delete set null', '') : references
    const to = clause === undefined || !parent ? '' : `references ${parent.id} ${clause}`
    return { name, is: `${ref} ${more} ${to}`, value: of }
  }

  #parent(): Parent | undefined {
    return this.#random.pick(this.#parents)
  }

  #table(kind: Kind, i: number): void {
    const key = this.#keyKind()
    const id = this.#name(kind)
    const self = { id, key }
    const columns = [this.#primary(key), ...this.#ordinary()]
    const triggers = TRIGGERS[kind]
    switch (kind) {
      case 'base':
        this.#add(kind, id, columns)
        this.#parents.push(self)
        return
      // Must have a parent, and may have a second; every other one can be a parent itself.
      case 'child': {
        const second = this.#reference('second_id', this.#parent())
        this.#add(kind, id, [
          ...columns,
          this.#reference('parent_id', this.#parent(), 'not null'),
          ...(i % 3 ? [second] : []),
        ])
        this.#create.push(...(i % 4 ? [`create index on ${id} (parent_id)`] : []))
        if (i % 2) this.#parents.push(self)
        return
      }
      case 'tree':
        this.#add(kind, id, [...columns, this.#reference('above_id', self)])
        return
      // Two tables that refer to each other; one of the references may be empty, of every other pair both.
      case 'cycle': {
        const other = { id: this.#name(kind, '_b'), key }
        this.#add(kind, id, [...columns, { name: 'other_id', is: KEYS[key].ref }])
        this.#add(kind, other.id, [
          this.#primary(key),
          ...this.#ordinary(),
          this.#reference('other_id', self, i % 2 ? 'not null' : ''),
        ])
        this.#create.push(`alter table ${id} add foreign key (other_id) references ${other.id} on delete set null`)
        return
      }
      // The key is two references, and most have nothing else.
      case 'join': {
        const [one, two] = [this.#parent(), this.#parent()]
        const pair = [this.#reference('one_id', one, 'not null'), this.#reference('two_id', two, 'not null')]
        this.#add(kind, id, [...pair, ...(i % 3 ? [] : this.#ordinary())], ['primary key (one_id, two_id)'])
        return
      }
      case 'one to one':
        this.#add(kind, id, [this.#reference('parent_id', this.#parents[i], 'primary key'), ...this.#ordinary()])
        return
      // A key of two numbers, and a table that refers to both.
      case 'composite': {
        const pair = ['tenant', 'number'].map((name) => ({ name, is: 'integer not null', value: 'i' }))
        this.#add(kind, id, [...pair, ...this.#ordinary()], ['primary key (tenant, number)'])
        const refers = `foreign key (tenant, number) references ${id}`
        this.#add(kind, this.#name(kind, '_b'), [this.#primary(key), ...pair], [refers])
        return
      }
      case 'checked':
        this.#add(kind, id, [...columns, ...(CHECKS[this.#made % CHECKS.length] ?? [])])
        return
      // Unique among some rows, and whatever the case of the letters.
      case 'unique in part':
        this.#add(kind, id, [...columns, { name: 'email', is: 'text not null', value: `i || '@example.invalid'` }])
        this.#create.push(
          `create unique index on ${id} (title) where ${i % 2 ? 'id is not null' : 'title is not null'}`,
          `create unique index on ${id} (lower(email))`,
        )
        return
      case 'exclusion':
        this.#add(
          kind,
          id,
          [
            ...columns,
            {
              name: 'span',
              is: 'tstzrange not null',
              value: `tstzrange(timestamptz '2024-01-01' + i * interval '1 day', timestamptz '2024-01-01 12:00' + i * interval '1 day')`,
            },
          ],
          ['exclude using gist (span with &&)'],
        )
        return
      case 'agree':
        this.#add(kind, id, columns)
        this.#create.push(
          `create constraint trigger agree after insert or update on ${id} deferrable initially deferred for each row execute function public.agreed()`,
        )
        this.#fired.push(self)
        return
      case 'touch':
      case 'search':
      case 'stamp':
      case 'count':
      case 'log':
      case 'queue':
      case 'guard': {
        const more =
          kind === 'guard'
            ? [{ name: 'retired', is: 'text' }]
            : kind === 'search'
              ? [{ name: 'words', is: 'tsvector not null' }]
              : []
        this.#add(kind, id, [this.#primary(key), ...this.#ordinary(['title', 'updated_at']), ...more])
        this.#create.push(`create trigger ${kind} ${triggers?.replace('%t', id)}`)
        if (kind === 'count') this.#fill.unshift(`insert into public.totals values ('${id}', 0)`)
        if (kind === 'touch' || kind === 'search') this.#parents.push(self)
        else this.#fired.push(self)
        return
      }
      // Must have a parent among the tables with triggers.
      case 'orphan':
        this.#add(kind, id, [...columns, this.#reference('parent_id', this.#random.pick(this.#fired), 'not null')])
        return
      case 'by range':
      case 'by list':
      case 'by hash':
        this.#partitioned(kind, id)
        return
      // Its unique index takes NULL.
      case 'loose':
        this.#add(
          kind,
          id,
          [
            { name: 'room', is: 'text', value: `'room ' || i` },
            { name: 'number', is: 'bigint', value: 'i' },
            ...this.#ordinary([]),
          ],
          i % 2 ? [] : ['unique (room, number)'],
        )
        if (i % 2) this.#create.push(`create unique index on ${id} (room, number)`)
        return
      case 'keyless':
        this.#add(kind, id, [
          { name: 'at', is: 'timestamptz not null default now()' },
          { name: 'count', is: 'integer', value: 'i' },
          ...(i % 2 ? [{ name: 'line', is: 'text', value: `'line ' || i` }] : []),
        ])
        return
      case 'one row':
        this.#add(kind, id, [
          { name: 'lock', is: `char(1) not null default 'X' unique check (lock = 'X')` },
          { name: 'position', is: 'bigint not null', value: 'i' },
        ])
        return
      case 'odd': {
        const types =
          i % 2
            ? { name: 'path', is: 'ltree not null', value: `'a.b'` }
            : { name: 'extra', is: 'hstore not null', value: `'a=>1'` }
        this.#add(kind, id, [
          ...columns,
          types,
          { name: 'price', is: 'money not null', value: 'i::money' },
          { name: 'mail', is: 'citext unique', value: `i || '@example.invalid'` },
        ])
        return
      }
    }
  }

  #partitioned(kind: 'by range' | 'by list' | 'by hash', id: string): void {
    const { leaves = 3 } = this.#shape
    const [by, column] = {
      'by range': ['range', 'at'],
      'by list': ['list', 'partition_id'],
      'by hash': ['hash', 'id'],
    }[kind] as [string, string]
    const key: Column = { name: 'id', is: 'bigserial' }
    const at: Column = {
      name: 'at',
      is: 'timestamptz not null default now()',
      value: `timestamptz '2024-01-10' + i * interval '1 hour'`,
    }
    const number: Column = { name: 'partition_id', is: 'bigint not null default 1' }
    const primary = kind === 'by hash' ? 'primary key (id)' : `primary key (id, ${column})`
    this.#add(
      kind,
      id,
      [key, at, number, ...this.#ordinary().filter((c) => c.name !== 'slug')],
      [primary],
      `partition by ${by} (${column})`,
    )
    for (let leaf = 0; leaf < leaves; leaf++) {
      const bounds = {
        'by range': `from ('2024-0${leaf + 1}-01') to ('2024-0${leaf + 2}-01')`,
        'by list': `in (${leaf + 1})`,
        'by hash': `with (modulus ${leaves}, remainder ${leaf})`,
      }[kind]
      const name = `${id}_${leaf + 1}`
      this.#note('leaf', name)
      this.#create.push(`create table ${name} partition of ${id} for values ${bounds}`)
    }
  }
}

/** Parents first. */
const ORDER: readonly Kind[] = [
  ...(['base', 'touch', 'search', 'child', 'tree', 'cycle', 'join', 'one to one', 'composite', 'checked'] as const),
  ...(['unique in part', 'exclusion', 'stamp', 'count', 'log', 'queue', 'agree', 'guard', 'orphan'] as const),
  ...(['by range', 'by list', 'by hash', 'loose', 'keyless', 'one row', 'odd'] as const),
]
