-- Times are milliseconds since the Unix epoch. `BINARY`, by which SQLite compares unless told otherwise, compares bytes.
CREATE TABLE portcullis_api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    hint TEXT NOT NULL,
    label TEXT NOT NULL,
    owner TEXT NOT NULL,
    client_id TEXT,
    scopes TEXT NOT NULL,
    plan TEXT,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    not_before INTEGER,
    expires_at INTEGER,
    disabled_at INTEGER,
    revoked_at INTEGER,
    replaced_by TEXT,
    last_used_at INTEGER,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    pepper TEXT
) STRICT;

CREATE INDEX portcullis_api_keys_of_owner ON portcullis_api_keys (owner, created_at, id);

CREATE INDEX portcullis_api_keys_by_age ON portcullis_api_keys (created_at, id);
