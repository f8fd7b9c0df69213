-- What each address has of the sandbox token.
CREATE TABLE balances (
    owner  BLOB PRIMARY KEY CHECK (length(owner) = 20),
    amount TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Append-only: every transfer, once per payer and nonce. A row without a payer is a mint.
CREATE TABLE movements (
    seq       INTEGER PRIMARY KEY,
    payer     BLOB CHECK (length(payer) = 20),
    nonce     BLOB CHECK (length(nonce) = 32),
    recipient BLOB NOT NULL CHECK (length(recipient) = 20),
    amount    TEXT NOT NULL,
    reference TEXT,
    at        INTEGER,
    UNIQUE (payer, nonce),
    CHECK ((payer IS NULL) = (nonce IS NULL) AND (payer IS NULL) = (reference IS NULL))
) STRICT;

-- The dev wallet's invoices. The preimages are worth sandbox money only.
CREATE TABLE invoices (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    preimage     BLOB NOT NULL CHECK (length(preimage) = 32),
    bolt11       TEXT NOT NULL,
    sats         INTEGER NOT NULL,
    created      INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    paid         INTEGER
) STRICT;
