-- Clients that sign their requests, and what they sign with: sealed, under a key that is kept elsewhere.
CREATE TABLE portcullis_clients (
    name TEXT NOT NULL PRIMARY KEY,
    scopes TEXT NOT NULL,
    plan TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE portcullis_client_secrets (
    client TEXT NOT NULL REFERENCES portcullis_clients (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    sealing_key TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (client, id)
) STRICT;
