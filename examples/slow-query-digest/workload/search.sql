-- The search box: IN lists of all lengths, LIKE without an index, the same question typed in different ways.
select string_agg(floor(random() * 1000000 + 1)::int::text, ', ') as accounts
from generate_series(1, (random() * random() * 1200)::int + 2) \gset
select string_agg('''SKU-' || floor(random() * 900)::int || '''', ',') as products
from generate_series(1, (random() * 20)::int + 2) \gset
select floor(random() * 20000 + 1)::int as id, floor(random() * 90 + 10)::int as digits \gset
select '%' || :digits || '@example.com' as pattern, '{' || :id || ', 17, 4711}' as few \gset

select aid, abalance from pgbench_accounts where aid in (:accounts);
SELECT order_id, quantity FROM order_lines WHERE product IN (:products) AND quantity > 4;
select id, name from customers where email like :'pattern' or name ilike '%o''brien %';
select id,name from customers where id=:id;
SELECT id, name   FROM customers   WHERE id = :id -- the same, by hand
;
select count(*) from orders where customer_id = any (:'few'::integer[]);
select $tag$it's $1 or "nothing"; -- not a comment$tag$ as quoted, E'back\\slash \' quote', U&'\00fc', -:digits as minus;
select 'first line
2026-01-01 00:00:00.000 UTC,,,4711,,a.b,1,,2026-01-01 00:00:00 UTC,,0,LOG,00000,"not an entry",
last line' as nasty, :digits as n;
