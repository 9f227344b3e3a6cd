-- A small shop beside pgbench's tables. orders.customer_id and order_lines.order_id have no index: that is the point.
create role web login;
create role analyst login;
grant pg_read_all_data to analyst;

create table customers (
  id integer primary key,
  name text not null,
  email text not null unique,
  country text not null,
  note text not null default ''
);

create table orders (
  id integer primary key,
  customer_id integer not null,
  state text not null,
  total numeric(10, 2) not null check (total >= 0),
  placed_at timestamptz not null
);

create table order_lines (
  order_id integer not null,
  product text not null,
  quantity integer not null
);

create table invoices (
  id bigint generated always as identity primary key,
  customer_id integer not null references customers,
  reference text not null unique,
  amount numeric(10, 2) not null
);

insert into customers (id, name, email, country)
select n, 'Customer ' || n, 'customer' || n || '@example.com', (array['DE', 'FR', 'IT', 'JP', 'US'])[1 + n % 5]
from generate_series(1, 20000) as n;

insert into orders
select n, 1 + n % 20000, (array['new', 'paid', 'sent', 'returned'])[1 + n % 4], (random() * 500)::numeric(10, 2),
  timestamptz '2025-01-01 00:00:00+00' + n * interval '2 minutes'
from generate_series(1, 150000) as n;

insert into order_lines
select 1 + n % 150000, 'SKU-' || n % 900, 1 + n % 5 from generate_series(1, 300000) as n;

grant select, insert, update, delete on all tables in schema public to web;
grant usage on all sequences in schema public to web;
revoke update on customers from analyst;
vacuum analyze;
