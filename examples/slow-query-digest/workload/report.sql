-- The analyst: sequential scans, sorts that spill, joins without an index, CTEs over many lines.
\set country '\'DE\''
select floor(random() * 400)::int as floor, floor(random() * 9 + 1)::int as months \gset

select   *
from     orders
order by total desc, placed_at
limit    25;

/* weekly report,
   requested by "finance" -- don't touch; it's theirs */
with recent as (
  select customer_id, total, placed_at
  from orders
  where placed_at >= timestamptz '2025-06-01 00:00:00+00' - interval '1 month' * :months
    and total > :floor
),
ranked as (
  -- one row per customer
  select customer_id,
         sum(total) as revenue,
         count(*) as orders,
         rank() over (order by sum(total) desc) as place
  from recent
  group by customer_id
)
SELECT c.name, r.revenue, r.orders
FROM ranked AS r
JOIN customers AS c ON c.id = r.customer_id
WHERE r.place <= 20
ORDER BY r.revenue DESC;

select c.country, l.product, sum(l.quantity) as sold
from customers c join orders o on o.customer_id = c.id join order_lines l on l.order_id = o.id
where c.country = :country and o.total > 0.5 + :floor
group by 1, 2
order by sold desc
limit 10;

select a.bid, avg(a.abalance), percentile_cont(0.5) within group (order by a.abalance)
from pgbench_accounts a
where a.aid % 7 = 3
group by a.bid;

select date_trunc('month', placed_at) as month, state, count(*), sum(total)::bigint
from orders group by 1, 2 order by 1, 2;

update customers set note = 'not mine to write' where id = 1;
