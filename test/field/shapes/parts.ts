/** What the schemas of the shapes are put together from: keys, columns, CHECKs and triggers. */
import type { KeyKind, Kind } from './facts.ts'

export interface Column {
  name: string
  /** Type and constraints. */
  is: string
  /** SQL for the value in row `i`; without it the server fills the column. */
  value?: string
}

/** What a key is, what refers to it, and its value in row `i`: `of` where the server fills it. */
export const KEYS: Record<KeyKind, { is: string; ref: string; value?: string; of: string }> = {
  serial: { is: 'serial', ref: 'int', of: 'i' },
  bigserial: { is: 'bigserial', ref: 'bigint', of: 'i' },
  identity: { is: 'bigint generated always as identity', ref: 'bigint', of: 'i' },
  snowflake: { is: 'bigint default public.snowflake()', ref: 'bigint', value: 'i', of: 'i' },
  uuid: { is: 'uuid default gen_random_uuid()', ref: 'uuid', value: 'md5(i::text)::uuid', of: 'md5(i::text)::uuid' },
  'own uuid': { is: 'uuid', ref: 'uuid', value: 'md5(i::text)::uuid', of: 'md5(i::text)::uuid' },
  varchar: { is: 'varchar(36)', ref: 'varchar(36)', value: 'md5(i::text)', of: 'md5(i::text)' },
  text: { is: 'text', ref: 'text', value: `'key ' || i`, of: `'key ' || i` },
}

/** Columns that any table may have. */
export const ORDINARY: readonly Column[] = [
  { name: 'title', is: 'varchar(255) not null', value: `'title ' || i` },
  { name: 'body', is: 'text', value: `case when i % 3 > 0 then 'it''s ünïcode ☃ ' || i end` },
  { name: 'state', is: 'smallint not null default 0' },
  { name: 'position', is: 'integer', value: 'i' },
  { name: 'created_at', is: 'timestamptz not null default now()' },
  { name: 'updated_at', is: 'timestamp not null', value: `timestamp '2024-01-01' + i * interval '1 hour'` },
  { name: 'settings', is: `jsonb not null default '{}'` },
  { name: 'payload', is: 'json', value: `'{"b": 1,   "a":  [1]}'` },
  { name: 'labels', is: `text[] not null default '{}'`, value: `array['a,b', null, '"']` },
  { name: 'active', is: 'boolean not null default true' },
  { name: 'host', is: 'inet', value: `'10.0.0.1'` },
  { name: 'digest', is: 'bytea', value: `decode(md5(i::text), 'hex')` },
  { name: 'amount', is: 'numeric(12,2) not null default 0', value: 'i * 1.25' },
  { name: 'score', is: 'double precision', value: 'i / 3.0' },
  { name: 'born', is: 'date', value: `date '2000-02-29'` },
  { name: 'opens', is: 'time', value: `'09:30'` },
  { name: 'slug', is: 'varchar(100) not null unique', value: `'slug-' || i` },
  { name: 'mood', is: 'public.mood', value: `'calm'` },
  { name: 'note', is: 'public.short', value: `'a note'` },
  { name: 'doubled', is: "integer generated always as (length(coalesce(title, '')) * 2) stored" },
]

/** What CHECKs say, in turn; each with the columns that it needs. */
export const CHECKS: readonly (readonly Column[])[] = [
  [{ name: 'code', is: `text not null check (code ~ '^[A-Z]{2,3}$')`, value: `'AB'` }],
  [{ name: 'share', is: 'smallint not null check (share between 0 and 100)', value: 'i' }],
  [{ name: 'summary', is: 'text check (char_length(summary) <= 255)', value: `'in short'` }],
  [
    { name: 'group_id', is: 'bigint', value: 'case when i % 2 = 0 then i end' },
    {
      name: 'project_id',
      is: 'bigint check (num_nonnulls(group_id, project_id) = 1)',
      value: 'case when i % 2 > 0 then i end',
    },
  ],
  [
    { name: 'starts', is: 'date not null', value: `date '2024-01-01' + i` },
    { name: 'ends', is: 'date check (ends is null or ends >= starts)', value: `date '2024-02-01' + i` },
  ],
  [{ name: 'class', is: `char(1) check (upper(class) in ('H', 'M', 'L'))`, value: `'H'` }],
  [{ name: 'list', is: `jsonb not null check (jsonb_typeof(list) = 'array')`, value: `'[1]'` }],
  [
    { name: 'ended', is: 'boolean not null default false' },
    { name: 'end_year', is: 'smallint check (end_year is null or ended)' },
  ],
  [{ name: 'artist', is: 'text not null check (public.is_tidy(artist))', value: `'tidy ' || i` }],
  [
    { name: 'cost', is: 'numeric(10,2) not null check (cost >= 0)', value: 'i' },
    { name: 'price', is: 'numeric(10,2) not null check (price >= cost)', value: 'i + 1' },
  ],
]

/** Triggers: what they fire on, and what they run. */
export const TRIGGERS: Partial<Record<Kind, string>> = {
  touch: 'before update on %t for each row execute function public.touched()',
  search: `before insert or update on %t for each row execute function tsvector_update_trigger(words, 'pg_catalog.english', title)`,
  stamp: 'before insert or update on %t for each row execute function public.touched()',
  count: 'after insert or delete on %t for each row execute function public.counted()',
  log: 'after insert or update or delete on %t for each row execute function public.logged()',
  queue: 'after delete on %t referencing old table as old_rows for each statement execute function public.queued()',
  guard: 'before insert or update on %t for each row when (new.retired is not null) execute function public.guarded()',
}

/** What every database of a shape has. */
export const PRELUDE = `
  create extension hstore; create extension ltree; create extension citext;
  create type public.mood as enum ('calm', 'cross');
  create domain public.short as varchar(30) check (length(value) > 2);
  create sequence public.flakes;
  create function public.snowflake() returns bigint language sql as $$ select (extract(epoch from now()) * 1000)::bigint << 16 | nextval('public.flakes') % 65536 $$;
  create function public.is_tidy(t text) returns boolean language sql immutable as $$ select t <> '' and t !~ '^\\s|\\s$|\\s\\s' $$;
  create function public.touched() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
  create function public.counted() returns trigger language plpgsql as $$ begin
    update public.totals set n = n + case when tg_op = 'INSERT' then 1 else -1 end where relation = tg_table_schema || '.' || tg_table_name; return null; end $$;
  create function public.logged() returns trigger language plpgsql as $$ begin insert into public.changes (relation, what) values (tg_table_name, tg_op); return null; end $$;
  create function public.queued() returns trigger language plpgsql as $$ begin insert into public.gone (relation) select tg_table_name from old_rows; return null; end $$;
  create function public.agreed() returns trigger language plpgsql as $$ begin perform 1; return null; end $$;
  create function public.guarded() returns trigger language plpgsql as $$ begin raise exception 'retired is read only'; end $$`

/** What triggers write to. */
export const TRACES = `
  create table public.changes (id bigserial primary key, relation text not null, what text not null, at timestamptz not null default now());
  create table public.totals (relation text primary key, n bigint not null);
  create table public.gone (id bigserial primary key, relation text not null, status smallint not null default 1);
  create view public.recent as select * from public.changes order by at desc limit 10`
