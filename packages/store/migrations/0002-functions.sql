create sequence function_revisions;

-- Content-addressed: one package may serve many functions. Deleted with the last of them.
create table code_packages (
  sha256 text collate "C" primary key,
  zip bytea not null
);
alter table code_packages alter column zip set storage external;

create table functions (
  account_id text collate "C" not null,
  function_name text collate "C" not null,
  settings jsonb not null,
  revision int8 not null,
  code_sha256 text collate "C" not null references code_packages,
  code_bytes int4 not null,
  created_at int8 not null,
  updated_at int8 not null,
  primary key (account_id, function_name)
);
create index functions_code on functions (code_sha256);
