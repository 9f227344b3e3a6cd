create table accounts (
  account_id text collate "C" primary key,
  created_at int8 not null
);

create table access_keys (
  key_id text collate "C" primary key,
  account_id text collate "C" not null references accounts,
  encrypted_secret bytea not null,
  enabled bool not null,
  created_at int8 not null
);
create index access_keys_account on access_keys (account_id, key_id);
