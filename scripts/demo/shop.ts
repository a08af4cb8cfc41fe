/** The demo's shop: four tables with the things real ones have (foreign keys, enums, NULLs, uuid, text and two-column keys). */
export const DATABASE = 'shop'

/** Fills an empty database; small enough to take a moment, and the same every time but for the orders' ids. */
export const SHOP_SQL = `
create type membership as enum ('basic', 'silver', 'gold');
create type order_status as enum ('new', 'paid', 'shipped', 'cancelled');

create table customers (
  id bigint generated always as identity primary key,
  email text not null unique,
  name text not null,
  membership membership not null default 'basic',
  phone text,
  joined_on date not null
);
create table products (
  sku text primary key,
  name varchar(80) not null,
  price numeric(10, 2) not null,
  stock integer not null,
  description text
);
create table orders (
  id uuid primary key default gen_random_uuid(),
  customer_id bigint not null references customers,
  status order_status not null default 'new',
  placed_at timestamptz not null,
  note text
);
create table order_items (
  order_id uuid not null references orders,
  line integer not null,
  sku text not null references products,
  quantity integer not null,
  unit_price numeric(10, 2) not null,
  primary key (order_id, line)
);
create index on orders (customer_id);
create index on order_items (sku);

insert into customers (email, name, membership, phone, joined_on)
  select format('customer%s@shop.invalid', n),
         (array['Ada O''Brien', 'Zoë "Zo" Muñoz', 'Li 李', 'Kofi Mensah', 'Søren Ærø'])[1 + n % 5] || ' ' || n,
         (array['basic', 'basic', 'silver', 'gold'])[1 + n % 4]::membership,
         case when n % 3 > 0 then format('+49 30 %s', 100000 + n) end,
         date '2020-01-01' + n * 7
    from generate_series(1, 200) n;
insert into products (sku, name, price, stock, description)
  select format('%s-%s', (array['MUG', 'TEA', 'BOX'])[1 + n % 3], lpad(n::text, 3, '0')), 'Article ' || n,
         round(3.99 + n * 1.37, 2), 20 + n, case when n % 2 = 0 then 'One of our ' || n || ' favourites' end
    from generate_series(1, 60) n;
insert into orders (customer_id, status, placed_at, note)
  select 1 + n % 200, (array['new', 'paid', 'shipped', 'shipped', 'cancelled'])[1 + n % 5]::order_status,
         timestamptz '2026-01-01 08:00:00+00' + n * interval '37 minutes', case when n % 4 = 0 then 'Leave it at the door' end
    from generate_series(1, 500) n;
insert into order_items (order_id, line, sku, quantity, unit_price)
  select o.id, line, p.sku, 1 + line % 3, p.price
    from (select id, row_number() over (order by placed_at) n from orders) o
    cross join generate_series(1, 2) line
    join (select sku, price, row_number() over (order by sku) n from products) p on p.n = 1 + (o.n * 7 + line * 13) % 60;
analyze;
`
