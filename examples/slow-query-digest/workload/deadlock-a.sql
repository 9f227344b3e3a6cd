-- Takes two rows in the order opposite to deadlock-b: now and then one of them dies.
begin;
update customers set note = 'a' where id = 19001;
select pg_sleep(0.3);
update customers set note = 'a' where id = 19002;
commit;
