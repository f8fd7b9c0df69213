-- How far callers may spend.

-- What each settlement has taken of budgets, for the void that gives it back.
ALTER TABLE settlements ADD COLUMN reserved TEXT;

-- What is spent in the latest window of each counter: one row, however long it lives.
CREATE TABLE budget_usage (
    node  TEXT NOT NULL,
    asset TEXT NOT NULL,
    span  TEXT NOT NULL,
    start INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    used  TEXT NOT NULL,
    PRIMARY KEY (node, asset, span)
) STRICT, WITHOUT ROWID;

-- Calls that wait, or waited, for an operator.
CREATE TABLE approvals (
    id         BLOB PRIMARY KEY CHECK (length(id) = 16),
    caller     TEXT NOT NULL,
    server     TEXT NOT NULL,
    tool       TEXT NOT NULL,
    args       BLOB NOT NULL CHECK (length(args) = 32),
    asset      TEXT NOT NULL,
    amount     TEXT NOT NULL,
    state      TEXT NOT NULL,
    asked      INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    decided    INTEGER,
    decided_by TEXT,
    call       BLOB CHECK (call IS NULL OR length(call) = 16)
) STRICT;
CREATE INDEX approvals_of_caller ON approvals (caller) WHERE state <> 'used';

-- What may not spend.
CREATE TABLE budget_stops (
    target     TEXT PRIMARY KEY,
    reason     TEXT NOT NULL,
    stopped_by TEXT NOT NULL,
    at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- To which organisation, team or project the holder of a key belongs.
ALTER TABLE api_keys ADD COLUMN labels TEXT NOT NULL DEFAULT '';
