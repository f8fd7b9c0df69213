-- Fewer b-trees: a commit writes a page for each that it touches, and that is most of what a paid call costs.

-- The ids of a reservation and of its resolution follow from the call, which is unique among settlements, and a settlement
-- moves on from the state in which it was read or not at all. Only what can come in from outside more than once, an arrival
-- or a grant, needs an index of its own.
CREATE TABLE transfers_2 (
    seq      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL CHECK (length(id) = 16),
    kind     TEXT NOT NULL,
    resolves BLOB,
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
INSERT INTO transfers_2 SELECT seq, id, kind, resolves, debit, credit, amount, call, note, at FROM transfers ORDER BY seq;
DROP TABLE transfers;
ALTER TABLE transfers_2 RENAME TO transfers;
CREATE UNIQUE INDEX transfers_posted ON transfers (id) WHERE kind = 'posted';

-- What a call answered, for whoever repeats its proof; pruned after a while, the oldest settlement first.
CREATE TABLE results_2 (
    settlement INTEGER PRIMARY KEY REFERENCES settlements (id),
    stored     INTEGER NOT NULL,
    private    TEXT,
    body       BLOB
) STRICT;
INSERT INTO results_2
    SELECT s.id, r.stored, r.private, r.body FROM results r JOIN settlements s ON s.call = r.call ORDER BY s.id;
DROP TABLE results;
ALTER TABLE results_2 RENAME TO results;

-- Append-only, chained: each envelope names the hash of the one before it under the same key. One process writes them, and
-- `tollgate ledger check` verifies every place in the chain.
CREATE TABLE receipts_2 (
    position INTEGER PRIMARY KEY,
    signer   INTEGER NOT NULL REFERENCES signers (id),
    seq      INTEGER NOT NULL,
    id       BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    call     BLOB NOT NULL,
    free     INTEGER NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    envelope TEXT NOT NULL
) STRICT;
INSERT INTO receipts_2
    SELECT r.position, r.signer, r.seq, r.id, r.call,
           NOT EXISTS (SELECT 1 FROM settlements s WHERE s.call = r.call), r.hash, r.envelope
    FROM receipts r ORDER BY r.position;
DROP TABLE receipts;
ALTER TABLE receipts_2 RENAME TO receipts;
CREATE INDEX receipts_free ON receipts (call) WHERE free = 1;
