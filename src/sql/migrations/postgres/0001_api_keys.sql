-- Times are milliseconds since the Unix epoch. "C" compares bytes, whatever the language of the database.
CREATE TABLE portcullis_api_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hint TEXT NOT NULL,
    label TEXT NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    client_id TEXT,
    scopes TEXT NOT NULL,
    plan TEXT,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    not_before BIGINT,
    expires_at BIGINT,
    disabled_at BIGINT,
    revoked_at BIGINT,
    replaced_by TEXT,
    last_used_at BIGINT,
    digest BYTEA NOT NULL CHECK (octet_length(digest) = 32),
    pepper TEXT
);

CREATE INDEX portcullis_api_keys_of_owner ON portcullis_api_keys (owner, created_at, id);

CREATE INDEX portcullis_api_keys_by_age ON portcullis_api_keys (created_at, id);
