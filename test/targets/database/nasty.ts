/** A database schema with everything that row skills stumble over, and rows whose exact text must survive. */

/** Drops and makes schema `nasty`, `"My Schema"` and its types; repeatable. */
export const NASTY_SCHEMA = `
drop schema if exists nasty cascade;
drop schema if exists "My Schema" cascade;
create schema nasty;
create schema "My Schema";

create type nasty.mood as enum ('happy', 'so so', 'it''s "bad"');
create domain nasty.email as text check (value ~ '^[^@]+@[^@]+$');
create domain nasty.percent as smallint not null check (value between 0 and 100);
create domain nasty.code as varchar(12);

-- integer key from a sequence; most common types
create table nasty.customers (
  id serial primary key,
  email nasty.email not null unique,
  name varchar(40) not null,
  mood nasty.mood not null default 'happy',
  discount nasty.percent default 0,
  code nasty.code,
  tags text[] not null default '{}',
  scores integer[],
  moods nasty.mood[],
  profile jsonb,
  raw json,
  photo bytea,
  balance numeric(30, 10),
  big bigint,
  ratio double precision,
  seen timestamptz,
  born date,
  active boolean not null default true,
  token uuid,
  initials char(10),
  note text
);

-- GENERATED ALWAYS identity, generated column, CHECKs, foreign key with cascade
create table nasty.orders (
  id bigint generated always as identity primary key,
  customer_id integer not null references nasty.customers on delete cascade,
  quantity integer not null check (quantity between 1 and 5),
  price numeric(10, 2) not null check (price > 0),
  total numeric generated always as (price * quantity) stored,
  status text not null default 'new' check (status in ('new', 'paid', 'sent')),
  placed timestamptz not null default now(),
  sent timestamptz,
  check (sent is null or sent >= placed),
  check (total < 100000)
);
create index on nasty.orders (customer_id);

-- UUID key
create table nasty.sessions (
  id uuid primary key default gen_random_uuid(),
  customer_id integer references nasty.customers on delete set null,
  address inet,
  started timestamp not null,
  lasted interval
);
create index on nasty.sessions (customer_id);

-- text key, quoted names, upper case, spaces, reserved words
create table "My Schema"."select" (
  "Key" text primary key,
  "order" integer not null,
  "from ""here""" text,
  "Größe" double precision
);

-- two-column key, one part a foreign key
create table nasty.lines (
  order_id bigint not null references nasty.orders on delete cascade,
  line_no integer not null,
  item text not null,
  amount numeric(20, 4),
  primary key (order_id, line_no)
);

-- two-column key of foreign keys only
create table nasty.likes (
  customer_id integer not null references nasty.customers on delete cascade,
  "Key" text not null references "My Schema"."select",
  primary key (customer_id, "Key")
);

-- self reference, integer key without a sequence, short key candidates
create table nasty.categories (
  id integer primary key,
  parent_id integer references nasty.categories,
  label varchar(8) not null unique,
  slug char(3)
);
create index on nasty.categories (parent_id);

-- one row for each customer
create table nasty.profiles (
  customer_id integer primary key references nasty.customers on delete cascade,
  bio text
);

-- only small types: nothing to tell ours from the application's
create table nasty.flags (
  id serial primary key,
  is_on boolean not null,
  mood nasty.mood,
  level smallint
);

-- a unique key that cannot decide conflicts, and exactly one of two references
create table nasty.positions (
  id serial primary key,
  place integer not null unique deferrable initially deferred,
  customer_id integer references nasty.customers,
  category_id integer references nasty.categories,
  check ((customer_id is null) <> (category_id is null))
);

-- what cannot be served, and why
create table nasty.no_key (a integer, b char(1));
create table nasty.triggered (id serial primary key, a text);
create function nasty.touch() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before insert or update on nasty.triggered for each row execute function nasty.touch();
create table nasty.parted (id integer not null, at date not null, primary key (id, at)) partition by range (at);
create table nasty.parted_2026 partition of nasty.parted for values from ('2026-01-01') to ('2027-01-01');
create table nasty.ancestor (id serial primary key, a text);
create table nasty.heir (b text) inherits (nasty.ancestor);
create table nasty.odd_type (id serial primary key, area aclitem not null);
create table nasty.odd_check (id serial primary key, a integer not null check (a % 1000003 = 17 and a > 900000));
create table nasty.orphan_parent (id serial primary key, area aclitem not null);
create table nasty.orphan (id serial primary key, parent integer not null references nasty.orphan_parent);
create table nasty.ruled (id serial primary key, a text);
create rule ruled as on delete to nasty.ruled do instead nothing;
create view nasty.a_view as select id, name from nasty.customers;
`

export const NASTY_ROWS = `
insert into nasty.customers (email, name, mood, discount, code, tags, scores, moods, profile, raw, photo, balance, big, ratio, seen, born, active, token, initials, note) values
 ('ann@customer.example', 'Ann O''Neil', 'it''s "bad"', 5, 'A-1', '{"a,b","c\\"d",NULL}', '{1,NULL,3}', '{happy,"so so"}',
  '{"b": 1, "a": [1, 2.50, null], "ü": "☃"}', '{"b" : 1,  "a":[1, 2.50,null], "b": 2}', '\\x00ff5c27', 12345678901234567890.0123456789,
  9223372036854775807, 'NaN', 'infinity', '0044-03-15 BC', true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ab', E'tab\\there \\\\ back''slash "quote" \\u2603 😀\\r\\nnew line'),
 ('bob@customer.example', '', 'happy', 0, null, '{}', null, null, null, null, '\\x', 0.0000000001, -9223372036854775808, '-infinity', '-infinity', 'infinity', false, null, '', ''),
 ('eve@customer.example', 'Eve', 'so so', 100, 'z', '{x}', '{}', '{}', 'null', '"x"', null, null, null, 0.1, '2026-03-29 01:30:00.123456+02', '2026-02-28', true, null, null, null),
 ('dan@customer.example', repeat('d', 40), 'happy', 1, 'toolong12345', '{}', null, null, '[]', '[ ]', null, -1.5, 9007199254740993, 1e308, now(), current_date, true, gen_random_uuid(), 'xxxxxxxxxx', '\\N');
insert into nasty.customers (email, name, big, balance, note, token, seen)
 select 'bulk' || i || '@customer.example', 'Bulk ' || i, i, i * 1.5, 'note ' || i, gen_random_uuid(), now() from generate_series(1, 60) i;
insert into nasty.orders (customer_id, quantity, price, status, placed)
 select 1 + i % 4, 1 + i % 5, 10 + i, (array['new', 'paid', 'sent'])[1 + i % 3], '2026-01-01'::timestamptz + i * interval '1 hour' from generate_series(1, 40) i;
insert into nasty.sessions (customer_id, address, started, lasted)
 select case when i % 3 = 0 then null else 1 + i % 4 end, '10.0.0.1', '2026-01-01'::timestamp + i * interval '1 minute', '1 day 02:03:04.5' from generate_series(1, 20) i;
insert into "My Schema"."select" select 'key ' || i, i, 'from "' || i || '"', i * 1.1 from generate_series(1, 10) i;
insert into nasty.lines select o.id, l, 'item ' || l, l * 1.25 from nasty.orders o, generate_series(1, 2) l;
insert into nasty.likes select 1 + i % 4, 'key ' || (1 + i) from generate_series(1, 6) i;
insert into nasty.categories values (1, null, 'root', 'abc'), (2, 1, 'child', null), (3, 1, 'CHILD', 'x'), (7, 2, 'leaf', '');
insert into nasty.profiles values (1, 'bio');
insert into nasty.flags (is_on, mood, level) select i % 2 = 0, 'happy', i from generate_series(1, 8) i;
insert into nasty.positions (place, customer_id, category_id) values (1, 1, null), (2, null, 2);
insert into nasty.no_key values (1, 'x');
insert into nasty.triggered (a) values ('x');
insert into nasty.ruled (a) values ('x');
analyze;
`

/** Values of the application's that must not show in anything a person reads. */
export const NASTY_SECRETS = ['ann@customer.example', "Ann O'Neil", 'customer.example', 'item 1', 'from "1"']

/** The schema loaded anew as from a dump, and used since: the keys of rows that came later are strangers' now. */
export const NASTY_RELOADED = `${NASTY_SCHEMA}${NASTY_ROWS}
insert into nasty.customers (email, name) select 'new' || i || '@customer.example', 'New ' || i from generate_series(1, 400) i;
insert into nasty.orders (customer_id, quantity, price, status) select i, 1, i, 'new' from generate_series(1, 100) i;
insert into nasty.flags (is_on, level) select true, 1 from generate_series(1, 100) i;
`
