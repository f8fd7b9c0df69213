-- Payouts. What is searched for has a column; `standing` is the payout as JSON.
CREATE TABLE payouts (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    provider TEXT NOT NULL,
    state    TEXT NOT NULL,
    version  INTEGER NOT NULL,
    standing TEXT NOT NULL
) STRICT;
CREATE INDEX payouts_provider ON payouts (provider, seq);
CREATE INDEX payouts_open ON payouts (seq) WHERE state IN ('held', 'submitted', 'unknown');

-- What is remembered of each provider: where its money may go since when, and what counts in its limit per day.
CREATE TABLE payees (
    provider TEXT PRIMARY KEY,
    version  INTEGER NOT NULL,
    standing TEXT NOT NULL
) STRICT, WITHOUT ROWID;
