-- The administrator: maintenance, procedural code, and plain mistakes.
do $$
declare
  n integer;
begin
  for n in 1..3 loop
    perform count(*) from orders where total > n * 100;
  end loop;
  raise warning 'counted three times, it''s enough';
end
$$;

analyze order_lines;
vacuum pgbench_tellers;
create temporary table scratch as select * from orders where state = 'new';
create index on scratch (customer_id);
drop table scratch;

select 1 / 0;
selct id from customers;
select * from no_such_table where id = 5;
select 'not a number'::integer;
insert into orders values (1, 1, 'new', -5, now());
select no_such_column
from customers
where name = 'O''Neil';
