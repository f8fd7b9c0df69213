-- A proof that strangers made is as good as random: in an index of whole keys, each call would write a page of its own. So credit,
-- whose keys are in the order of calls, keeps an index of keys, and proofs of other rails are looked for by 16 bytes of their digest,
-- in a small table that takes the new ones, and in a large one into which they are moved by thousands, in order.
CREATE TABLE settlements_3 (
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
    settle        TEXT NOT NULL DEFAULT 'after',
    payer         TEXT,
    refund        TEXT,
    refunded      TEXT NOT NULL DEFAULT '0',
    quote         BLOB CHECK (length(quote) = 32),
    reserved      TEXT,
    splits        TEXT
) STRICT;
INSERT INTO settlements_3
    SELECT id, key, attempt, call, caller, server, tool, args, price_version, amount, asset, funds, proof, expires, state,
           claimed, updated, result, reference, reason, receipt, settle, payer, refund, refunded, quote, reserved, splits
    FROM settlements ORDER BY id;

-- Rebuilt because it refers to the table that is dropped.
CREATE TABLE results_3 (
    settlement INTEGER PRIMARY KEY REFERENCES settlements_3 (id),
    stored     INTEGER NOT NULL,
    private    TEXT,
    body       BLOB
) STRICT;
INSERT INTO results_3 SELECT settlement, stored, private, body FROM results ORDER BY settlement;
DROP TABLE results;
DROP TABLE settlements;
ALTER TABLE settlements_3 RENAME TO settlements;
ALTER TABLE results_3 RENAME TO results;

CREATE INDEX settlements_open ON settlements (id)
    WHERE state <> 'settled' AND state <> 'delivered' AND state <> 'refunded' AND state <> 'voided' AND state <> 'failed'
        AND state <> 'in_doubt';
CREATE INDEX settlements_called ON settlements (caller, server, tool, claimed)
    WHERE caller >= 'key_' AND caller < 'key`' AND state <> 'voided' AND state <> 'failed' AND state <> 'in_doubt'
        AND state <> 'refund_due' AND state <> 'refunded';
CREATE UNIQUE INDEX settlements_credit ON settlements (key, attempt) WHERE key >= 'credit:' AND key < 'credit;';

CREATE TABLE proofs (
    proof      BLOB NOT NULL CHECK (length(proof) = 16),
    attempt    INTEGER NOT NULL,
    settlement INTEGER NOT NULL,
    PRIMARY KEY (proof, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE proofs_lately (
    proof      BLOB NOT NULL CHECK (length(proof) = 16),
    attempt    INTEGER NOT NULL,
    settlement INTEGER NOT NULL,
    PRIMARY KEY (proof, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO proofs
    SELECT proof_digest(key), attempt, id FROM settlements WHERE NOT (key >= 'credit:' AND key < 'credit;') ORDER BY 1, 2;
