-- Clients that sign their requests, and what they sign with: sealed, under a key that is kept elsewhere.
CREATE TABLE portcullis_clients (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    scopes TEXT NOT NULL,
    plan TEXT,
    created_at BIGINT NOT NULL
);

CREATE TABLE portcullis_client_secrets (
    client TEXT COLLATE "C" NOT NULL REFERENCES portcullis_clients (name) ON DELETE CASCADE,
    id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    sealing_key TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (client, id)
);
