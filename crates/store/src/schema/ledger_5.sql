-- Escrows. What is searched for has a column; `terms` is what was agreed on and never changes, `standing` is where the escrow
-- stands in full, both as JSON.
CREATE TABLE escrows (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    payer    TEXT NOT NULL,
    provider TEXT NOT NULL,
    mediator TEXT,
    terms    TEXT NOT NULL,
    state    TEXT NOT NULL,
    phase    TEXT,
    due      INTEGER,
    version  INTEGER NOT NULL,
    standing TEXT NOT NULL
) STRICT;
CREATE INDEX escrows_due ON escrows (due, seq) WHERE due IS NOT NULL;
CREATE INDEX escrows_payer ON escrows (payer, seq);
CREATE INDEX escrows_provider ON escrows (provider, seq);
CREATE INDEX escrows_mediator ON escrows (mediator, seq) WHERE mediator IS NOT NULL;

-- Append-only: what happened to each escrow, in order, without gaps.
CREATE TABLE escrow_events (
    escrow  INTEGER NOT NULL REFERENCES escrows (seq),
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    event   TEXT NOT NULL,
    detail  TEXT NOT NULL,
    state   TEXT NOT NULL,
    PRIMARY KEY (escrow, version)
) STRICT, WITHOUT ROWID;
