-- Limits of accounts; an account without settings has the defaults.
alter table accounts
  add column settings jsonb not null default '{}'::jsonb,
  -- When it last became limited or unlimited; 0: never.
  add column limits_changed_at int8 not null default 0;

alter table functions
  -- The same of a function; 0: it is as it was created.
  add column limits_changed_at int8 not null default 0;

-- Names of functions that were deleted lately: attempts of a function of the same name may still run, anywhere.
create table deleted_functions (
  account_id text collate "C" not null,
  function_name text collate "C" not null,
  deleted_at int8 not null,
  primary key (account_id, function_name)
);
create index deleted_functions_age on deleted_functions (deleted_at);
-- Functions for which slots are kept free: few.
create index functions_reserved on functions (account_id, function_name)
  where (settings ->> 'concurrencyReserved')::float8 > 0;
