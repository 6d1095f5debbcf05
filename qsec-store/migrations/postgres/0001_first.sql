-- The first schema. Names compare byte by byte; sizes are those that the store traits state.

-- Key records of tenants (qsec-crypto): the binding, and one row for each key version. Wrapped material only.
CREATE TABLE qsec_key (
    tenant     TEXT COLLATE "C" NOT NULL CHECK (octet_length(tenant) BETWEEN 1 AND 255),
    name       TEXT COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 300),
    generation BIGINT NOT NULL CHECK (generation >= 1),
    body       BYTEA NOT NULL CHECK (octet_length(body) <= 131072),
    mac        BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (tenant, name)
);

-- Keys of the internal KMS (qsec-crypto), wrapped by a root key that is never here.
CREATE TABLE qsec_local_key (
    id         BYTEA NOT NULL CHECK (octet_length(id) = 16),
    generation BIGINT NOT NULL CHECK (generation >= 1),
    body       BYTEA NOT NULL CHECK (octet_length(body) <= 131072),
    PRIMARY KEY (id)
);

-- Clients, identity providers and signing keys (qsec-identity). The empty tenant is the deployment itself.
CREATE TABLE qsec_identity (
    tenant     TEXT COLLATE "C" NOT NULL CHECK (octet_length(tenant) <= 255),
    collection TEXT COLLATE "C" NOT NULL CHECK (octet_length(collection) BETWEEN 1 AND 32),
    id         TEXT COLLATE "C" NOT NULL CHECK (octet_length(id) <= 300),
    generation BIGINT NOT NULL CHECK (generation >= 1),
    body       BYTEA NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (tenant, collection, id)
);

-- Single-use tokens that were used (qsec-identity): a digest of each, and the Unix second until which it is remembered.
CREATE TABLE qsec_replay (
    tenant     TEXT COLLATE "C" NOT NULL CHECK (octet_length(tenant) <= 255),
    token      BYTEA NOT NULL CHECK (octet_length(token) = 32),
    keep_until BIGINT NOT NULL,
    PRIMARY KEY (tenant, token)
);
CREATE INDEX qsec_replay_keep_until ON qsec_replay (keep_until);

-- Version of each tenant's policy (qsec-authz); the row that concurrent changes meet at.
CREATE TABLE qsec_policy (
    tenant  TEXT COLLATE "C" NOT NULL CHECK (octet_length(tenant) <= 255),
    version BIGINT NOT NULL CHECK (version >= 1),
    PRIMARY KEY (tenant)
);

-- Entries of the policies.
CREATE TABLE qsec_policy_entry (
    tenant TEXT COLLATE "C" NOT NULL CHECK (octet_length(tenant) <= 255),
    kind   TEXT COLLATE "C" NOT NULL CHECK (octet_length(kind) BETWEEN 1 AND 32),
    id     TEXT COLLATE "C" NOT NULL CHECK (octet_length(id) <= 300),
    body   TEXT NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (tenant, kind, id),
    FOREIGN KEY (tenant) REFERENCES qsec_policy (tenant)
);

-- The issuance ledger (qsec-pki): every serial that was ever spent. Rows are never removed.
CREATE TABLE qsec_certificate (
    serial      TEXT COLLATE "C" NOT NULL CHECK (octet_length(serial) BETWEEN 1 AND 128 AND serial ~ '^[0-9a-f]+$'),
    spki_sha256 BYTEA NOT NULL CHECK (octet_length(spki_sha256) = 32),
    state       TEXT COLLATE "C" NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 32),
    not_after   BIGINT NOT NULL CHECK (not_after >= 0),
    body        BYTEA NOT NULL CHECK (octet_length(body) <= 65536),
    PRIMARY KEY (serial)
);
CREATE INDEX qsec_certificate_spki_sha256 ON qsec_certificate (spki_sha256);

-- Newest head of each node's audit log (qsec-audit).
CREATE TABLE qsec_head (
    origin        TEXT COLLATE "C" NOT NULL CHECK (octet_length(origin) BETWEEN 1 AND 300),
    log_id        TEXT COLLATE "C" NOT NULL CHECK (octet_length(log_id) BETWEEN 1 AND 128),
    commit_number BIGINT NOT NULL CHECK (commit_number >= 0),
    chain         BYTEA NOT NULL CHECK (octet_length(chain) = 32),
    trees_root    BYTEA NOT NULL CHECK (octet_length(trees_root) = 32),
    PRIMARY KEY (origin)
);

-- Tenants and their lifecycle state. Tombstones stay, so that no id is used twice.
CREATE TABLE qsec_tenant (
    id      TEXT COLLATE "C" NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 255),
    version BIGINT NOT NULL CHECK (version >= 1),
    state   TEXT COLLATE "C" NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 64),
    body    BYTEA NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (id)
);

-- Deployment-wide records by name. Secrets only wrapped.
CREATE TABLE qsec_setting (
    name       TEXT COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 300),
    generation BIGINT NOT NULL CHECK (generation >= 1),
    body       BYTEA NOT NULL CHECK (octet_length(body) <= 1048576),
    PRIMARY KEY (name)
);
