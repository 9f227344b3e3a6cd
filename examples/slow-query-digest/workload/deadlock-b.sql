-- Takes two rows in the order opposite to deadlock-a: now and then one of them dies.
begin;
update customers set note = 'b' where id = 19002;
select pg_sleep(0.3);
update customers set note = 'b' where id = 19001;
commit;
