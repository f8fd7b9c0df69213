-- How far callers may spend. See ledger_9.sql for the embedded store.

-- What each settlement has taken of budgets, for the void that gives it back.
ALTER TABLE settlements ADD COLUMN reserved text NOT NULL DEFAULT '';

-- What is spent in the latest window of each counter: one row, however long it lives. A counter that every call touches is
-- updated with every batch: room for its next version on the same page.
CREATE TABLE budget_usage (
    node  text NOT NULL,
    asset text NOT NULL,
    span  text NOT NULL,
    start bigint NOT NULL,
    last  bigint NOT NULL,
    used  numeric(39) NOT NULL CHECK (used >= 0),
    PRIMARY KEY (node, asset, span)
) WITH (fillfactor = 50);

-- Calls that wait, or waited, for an operator.
CREATE TABLE approvals (
    id         bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    caller     text NOT NULL,
    server     text NOT NULL,
    tool       text NOT NULL,
    args       bytea NOT NULL CHECK (octet_length(args) = 32),
    asset      text NOT NULL,
    amount     numeric(39) NOT NULL,
    state      text NOT NULL,
    asked      bigint NOT NULL,
    expires    bigint NOT NULL,
    decided    bigint,
    decided_by text,
    call       bytea CHECK (octet_length(call) = 16)
);
CREATE INDEX approvals_of_caller ON approvals (caller) WHERE state <> 'used';

-- What may not spend.
CREATE TABLE budget_stops (
    target     text PRIMARY KEY,
    reason     text NOT NULL,
    stopped_by text NOT NULL,
    at         bigint NOT NULL
);

-- To which organisation, team or project the holder of a key belongs.
ALTER TABLE api_keys ADD COLUMN labels text NOT NULL DEFAULT '';
