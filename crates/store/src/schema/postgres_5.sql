-- Payouts. See ledger_10.sql for the embedded store.
CREATE TABLE payouts (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       bytea NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    provider text NOT NULL,
    state    text NOT NULL,
    version  bigint NOT NULL,
    standing text NOT NULL
);
CREATE INDEX payouts_provider ON payouts (provider, seq);
CREATE INDEX payouts_open ON payouts (seq) WHERE state IN ('held', 'submitted', 'unknown');

-- What is remembered of each provider: where its money may go since when, and what counts in its limit per day.
CREATE TABLE payees (
    provider text PRIMARY KEY,
    version  bigint NOT NULL,
    standing text NOT NULL
);
