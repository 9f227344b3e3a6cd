-- Billing: transactions that hold locks, updates full of quotes and comments, duplicates, timeouts.
select floor(random() * 20000 + 1)::int as customer, floor(random() * 10 + 1)::int as branch,
  (random() * 0.4)::numeric(4, 2) as nap, floor(random() * 1500)::int as number \gset
select 'R-' || :number as reference \gset

begin;
update pgbench_branches set bbalance = bbalance + 0 /* hold the branch's row */ where bid = :branch;
select pg_sleep(:nap);
commit;

insert into invoices (customer_id, reference, amount)
values (:customer, :'reference', 12.50), (:customer, :'reference' || random(), 1e2), (1, 'T-' || random(), .5);

update customers
   set note = 'said: "it''s -- fine" /* really */; called ''twice''' -- the '' matters
 where id = :customer;

UPDATE orders SET state = 'paid', total = total * 1.00 WHERE customer_id = :customer AND state <> 'paid';
delete from invoices where customer_id = :customer and amount < 1.0;

set statement_timeout = '150ms';
select count(*) from orders o, customers c where o.total > c.id;
reset statement_timeout;

set lock_timeout = '60ms';
update pgbench_branches set bbalance = bbalance where bid = 1 + :branch % 10;
reset lock_timeout;
