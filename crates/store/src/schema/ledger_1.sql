-- The books. Amounts are decimal text: exact to 128 bits, readable, and never computed with in SQL.
CREATE TABLE accounts (
    id              INTEGER PRIMARY KEY,
    asset           TEXT NOT NULL,
    name            TEXT NOT NULL,
    debits_pending  TEXT NOT NULL,
    debits_posted   TEXT NOT NULL,
    credits_pending TEXT NOT NULL,
    credits_posted  TEXT NOT NULL,
    UNIQUE (asset, name)
) STRICT;

-- Append-only. A pending transfer is resolved at most once: `resolves` is unique.
CREATE TABLE transfers (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind     TEXT NOT NULL,
    resolves BLOB UNIQUE REFERENCES transfers (id),
    debit    INTEGER NOT NULL REFERENCES accounts (id),
    credit   INTEGER NOT NULL REFERENCES accounts (id),
    amount   TEXT NOT NULL,
    call     BLOB,
    note     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    CHECK (debit <> credit),
    CHECK (resolves IS NULL AND (kind = 'posted' OR kind = 'pending')
        OR resolves IS NOT NULL AND (kind = 'post_pending' OR kind = 'void_pending'))
) STRICT;

-- One row per payment key and attempt; the latest attempt counts, earlier ones are voided.
CREATE TABLE settlements (
    id            INTEGER PRIMARY KEY,
    key           TEXT NOT NULL,
    attempt       INTEGER NOT NULL,
    call          BLOB NOT NULL UNIQUE CHECK (length(call) = 16),
    caller        TEXT NOT NULL,
    server        TEXT NOT NULL,
    tool          TEXT NOT NULL,
    args          BLOB NOT NULL CHECK (length(args) = 32),
    price_version INTEGER NOT NULL,
    amount        TEXT NOT NULL,
    asset         TEXT NOT NULL,
    funds         TEXT NOT NULL,
    proof         TEXT NOT NULL,
    expires       INTEGER NOT NULL,
    state         TEXT NOT NULL,
    claimed       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    result        BLOB CHECK (result IS NULL OR length(result) = 32),
    reference     TEXT,
    reason        TEXT,
    receipt       BLOB,
    UNIQUE (key, attempt)
) STRICT;
-- Spelled with `<>`, not `NOT IN`: for a list of words, SQLite builds and drops a table of its own with every insert and
-- update, which cost a third of the writer's time.
CREATE INDEX settlements_open ON settlements (id)
    WHERE state <> 'settled' AND state <> 'voided' AND state <> 'failed' AND state <> 'in_doubt';

-- What a call answered, for whoever repeats its proof; pruned after a while.
CREATE TABLE results (
    call    BLOB PRIMARY KEY,
    body    BLOB,
    private TEXT,
    stored  INTEGER NOT NULL
) STRICT;
CREATE INDEX results_stored ON results (stored);

-- The public keys (Ed25519) that signed receipts; each has a chain of its own.
CREATE TABLE signers (
    id  INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE CHECK (length(key) = 32)
) STRICT;

-- Append-only, chained: each envelope names the hash of the one before it under the same key.
CREATE TABLE receipts (
    position INTEGER PRIMARY KEY,
    signer   INTEGER NOT NULL REFERENCES signers (id),
    seq      INTEGER NOT NULL,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    call     BLOB NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    envelope TEXT NOT NULL,
    at       INTEGER NOT NULL,
    UNIQUE (signer, seq)
) STRICT;
CREATE INDEX receipts_call ON receipts (call);

CREATE TABLE standings (
    principal  TEXT PRIMARY KEY,
    reputation INTEGER NOT NULL,
    settled    INTEGER NOT NULL,
    failed     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    name    TEXT NOT NULL,
    hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    tier    INTEGER NOT NULL,
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT;

-- Counts the changes of `api_keys`, whichever process made them.
CREATE TABLE api_keys_version (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO api_keys_version VALUES (1, 0);
