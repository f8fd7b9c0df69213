-- One b-tree for transfers instead of two: a commit writes a page for each that it touches.

-- Append-only: every transfer, once per payer and nonce.
CREATE TABLE transfers (
    payer     BLOB NOT NULL CHECK (length(payer) = 20),
    nonce     BLOB NOT NULL CHECK (length(nonce) = 32),
    recipient BLOB NOT NULL CHECK (length(recipient) = 20),
    amount    TEXT NOT NULL,
    reference TEXT NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (payer, nonce)
) STRICT, WITHOUT ROWID;
INSERT INTO transfers
    SELECT payer, nonce, recipient, amount, reference, at FROM movements WHERE payer IS NOT NULL;

-- Append-only: new money.
CREATE TABLE mints (
    seq       INTEGER PRIMARY KEY,
    recipient BLOB NOT NULL CHECK (length(recipient) = 20),
    amount    TEXT NOT NULL
) STRICT;
INSERT INTO mints (recipient, amount) SELECT recipient, amount FROM movements WHERE payer IS NULL ORDER BY seq;

DROP TABLE movements;
