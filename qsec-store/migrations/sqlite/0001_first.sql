-- The first schema. Names compare byte by byte; sizes are those that the store traits state.

-- Tells `qsec` files from those of other programs: the bytes "qsec".
PRAGMA application_id = 1903388003;

-- Key records of tenants (qsec-crypto): the binding, and one row for each key version. Wrapped material only.
CREATE TABLE qsec_key (
    tenant     TEXT NOT NULL CHECK (octet_length(tenant) BETWEEN 1 AND 255),
    name       TEXT NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 300),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    body       BLOB NOT NULL CHECK (octet_length(body) <= 131072),
    mac        BLOB NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (tenant, name)
) STRICT;

-- Keys of the internal KMS (qsec-crypto), wrapped by a root key that is never here.
CREATE TABLE qsec_local_key (
    id         BLOB NOT NULL CHECK (octet_length(id) = 16),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    body       BLOB NOT NULL CHECK (octet_length(body) <= 131072),
    PRIMARY KEY (id)
) STRICT;

-- Clients, identity providers and signing keys (qsec-identity). The empty tenant is the deployment itself.
CREATE TABLE qsec_identity (
    tenant     TEXT NOT NULL CHECK (octet_length(tenant) <= 255),
    collection TEXT NOT NULL CHECK (octet_length(collection) BETWEEN 1 AND 32),
    id         TEXT NOT NULL CHECK (octet_length(id) <= 300),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    body       BLOB NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (tenant, collection, id)
) STRICT;

-- Single-use tokens that were used (qsec-identity): a digest of each, and the Unix second until which it is remembered.
CREATE TABLE qsec_replay (
    tenant     TEXT NOT NULL CHECK (octet_length(tenant) <= 255),
    token      BLOB NOT NULL CHECK (octet_length(token) = 32),
    keep_until INTEGER NOT NULL,
    PRIMARY KEY (tenant, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX qsec_replay_keep_until ON qsec_replay (keep_until);

-- Version of each tenant's policy (qsec-authz); the row that concurrent changes meet at.
CREATE TABLE qsec_policy (
    tenant  TEXT NOT NULL CHECK (octet_length(tenant) <= 255),
    version INTEGER NOT NULL CHECK (version >= 1),
    PRIMARY KEY (tenant)
) STRICT;

-- Entries of the policies.
CREATE TABLE qsec_policy_entry (
    tenant TEXT NOT NULL CHECK (octet_length(tenant) <= 255),
    kind   TEXT NOT NULL CHECK (octet_length(kind) BETWEEN 1 AND 32),
    id     TEXT NOT NULL CHECK (octet_length(id) <= 300),
    body   TEXT NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (tenant, kind, id),
    FOREIGN KEY (tenant) REFERENCES qsec_policy (tenant)
) STRICT;

-- The issuance ledger (qsec-pki): every serial that was ever spent. Rows are never removed.
CREATE TABLE qsec_certificate (
    serial      TEXT NOT NULL CHECK (octet_length(serial) BETWEEN 1 AND 128 AND serial NOT GLOB '*[^0-9a-f]*'),
    spki_sha256 BLOB NOT NULL CHECK (octet_length(spki_sha256) = 32),
    state       TEXT NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 32),
    not_after   INTEGER NOT NULL CHECK (not_after >= 0),
    body        BLOB NOT NULL CHECK (octet_length(body) <= 65536),
    PRIMARY KEY (serial)
) STRICT;
CREATE INDEX qsec_certificate_spki_sha256 ON qsec_certificate (spki_sha256);

-- Newest head of each node's audit log (qsec-audit).
CREATE TABLE qsec_head (
    origin        TEXT NOT NULL CHECK (octet_length(origin) BETWEEN 1 AND 300),
    log_id        TEXT NOT NULL CHECK (octet_length(log_id) BETWEEN 1 AND 128),
    commit_number INTEGER NOT NULL CHECK (commit_number >= 0),
    chain         BLOB NOT NULL CHECK (octet_length(chain) = 32),
    trees_root    BLOB NOT NULL CHECK (octet_length(trees_root) = 32),
    PRIMARY KEY (origin)
) STRICT;

-- Tenants and their lifecycle state. Tombstones stay, so that no id is used twice.
CREATE TABLE qsec_tenant (
    id      TEXT NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 255),
    version INTEGER NOT NULL CHECK (version >= 1),
    state   TEXT NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 64),
    body    BLOB NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (id)
) STRICT;

-- Deployment-wide records by name. Secrets only wrapped.
CREATE TABLE qsec_setting (
    name       TEXT NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 300),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    body       BLOB NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (name)
) STRICT;
