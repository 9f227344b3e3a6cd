-- Exports: COPY, a cursor, a prepared statement.
copy (select id, customer_id, total from orders where state = 'sent' order by placed_at desc) to stdout with (format csv);

begin;
declare pages cursor for select id, email from customers order by email;
fetch 5000 from pages;
fetch 5000 from pages;
close pages;
commit;

prepare by_country(text) as select count(*) from customers where country = $1;
execute by_country('FR');
execute by_country('JP');
deallocate by_country;
