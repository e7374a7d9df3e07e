create table cluster (
  id uuid primary key,
  name text not null unique,
  created_at timestamptz not null
);

create table certificate_authority (
  only_one boolean primary key default true check (only_one),
  certificate text not null,   -- PEM
  private_key text not null    -- PEM, PKCS #8
);

-- One build of a package as a guest has it: what decides its findings, and where the guest got it.
create table package_instance (
  id int generated always as identity primary key,
  digest bytea not null unique,
  name text not null,
  evr text not null,
  arch text not null,
  module text not null,
  source_name text not null,
  source_evr text not null,
  package_db text not null,
  repoid text not null,
  repoid_source text not null,
  repositories jsonb not null  -- [{"repoid", "cpe"}], what the agent attached
);

-- The packages of a guest, shared by all guests that have the same.
create table inventory (
  id int generated always as identity primary key,
  digest bytea not null unique,
  os_detected text not null,
  os_version text not null,
  os_name text not null,
  instance_ids int[] not null,  -- sorted
  created_at timestamptz not null
);

create table vm (
  cluster_id uuid not null references cluster (id) on delete cascade,
  id text not null,
  name text not null,
  namespace text not null,
  state text not null,
  node_name text not null,
  cid bigint not null,          -- uint32; 0 = none
  facts jsonb not null,
  labels jsonb not null,
  annotations jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- The last good scan.
  inventory_id int references inventory (id),
  scanned_at timestamptz,
  scan jsonb,                   -- {"state", "reasons", "machine", "activation", "dnfMetadata"} of that scan
  -- The newest report, good or not.
  attempt jsonb,                -- {"kind": "stored" | "failed" | "refused", "reasons", "receivedAt", "agentVersion"}
  report_digest bytea,
  boot_id text not null default '',
  sequence numeric(20) not null default 0,
  past_boot_ids text[] not null default '{}',
  primary key (cluster_id, id)
);
create index on vm (inventory_id);

create table vm_inventory (
  cluster_id uuid not null,
  vm_id text not null,
  inventory_id int not null references inventory (id),
  valid_from timestamptz not null,
  valid_to timestamptz,
  primary key (cluster_id, vm_id, valid_from),
  foreign key (cluster_id, vm_id) references vm (cluster_id, id) on delete cascade
);

-- A version of the vulnerability data is a snapshot: it is replaced as a whole or not at all.
create table feed_version (
  id int generated always as identity primary key,
  imported_at timestamptz not null,
  data_date timestamptz,
  description text not null,
  document_count int not null,
  statement_count int not null,
  quarantined jsonb not null,   -- [{"name", "error"}]
  fingerprint text not null     -- of the files that it came from
);

create table advisory (
  feed text not null,
  cve text not null,
  revision text not null,
  content_digest bytea not null,  -- SHA-256 of the document
  statement_count int not null,
  document bytea not null,        -- the parsed Advisory, packed: see store/pack-advisory.ts
  primary key (feed, cve)
);

create table repository_map (
  only_one boolean primary key default true check (only_one),
  imported_at timestamptz not null,
  repository_count int not null,
  document bytea not null         -- repository-to-cpe.json as it came, zstd
);

-- When a vulnerability was first found in any guest.
create table found_cve (
  cve text primary key,
  first_found_at timestamptz not null
);

create table account (
  name text primary key,
  password_hash text not null     -- argon2id, PHC form
);

create table session (
  token_hash bytea primary key,
  account text not null references account (name) on delete cascade,
  expires_at timestamptz not null
);

create table api_token (
  id uuid primary key,
  name text not null,
  token_hash bytea not null unique,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
