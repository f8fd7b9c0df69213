-- The books of several gateways. Ids and digests are their bytes, texts the canonical ones, moments milliseconds since 1970;
-- amounts are exact to 128 bits, and nothing of a gateway is computed with them in SQL.

-- Whoever writes money holds this row from the first statement of its transaction to the commit: batches of all gateways come
-- one after the other. `seq` counts them.
CREATE TABLE shards (
    id  integer PRIMARY KEY,
    seq bigint NOT NULL
);
INSERT INTO shards VALUES (1, 0);

-- A gateway is whoever signs with this key (Ed25519); its receipts are a chain of their own. Each start takes a new epoch: a
-- process with an older one commits nothing any more. `batch` is the last batch that was committed in this epoch.
CREATE TABLE gateways (
    id    integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    key   bytea NOT NULL UNIQUE CHECK (octet_length(key) = 32),
    epoch bigint NOT NULL,
    batch bigint NOT NULL
);

-- An account that every call touches is updated with every batch: room for its next version on the same page.
CREATE TABLE accounts (
    id              bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    asset           text NOT NULL,
    name            text NOT NULL,
    debits_pending  numeric(39) NOT NULL CHECK (debits_pending >= 0),
    debits_posted   numeric(39) NOT NULL CHECK (debits_posted >= 0),
    credits_pending numeric(39) NOT NULL CHECK (credits_pending >= 0),
    credits_posted  numeric(39) NOT NULL CHECK (credits_posted >= 0),
    UNIQUE (asset, name)
) WITH (fillfactor = 50);

-- Append-only. The reservation of a call and its resolution have ids that follow from the call; all others can be asked for
-- more than once, and are found by their id.
CREATE TABLE transfers (
    seq      bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id       bytea NOT NULL CHECK (octet_length(id) = 16),
    kind     text NOT NULL,
    resolves bytea CHECK (octet_length(resolves) = 16),
    debit    bigint NOT NULL REFERENCES accounts (id),
    credit   bigint NOT NULL REFERENCES accounts (id),
    amount   numeric(39) NOT NULL CHECK (amount > 0),
    call     bytea CHECK (octet_length(call) = 16),
    note     text NOT NULL,
    at       bigint NOT NULL,
    expires  bigint,
    CHECK (debit <> credit),
    CHECK (resolves IS NULL AND kind IN ('posted', 'pending')
        OR resolves IS NOT NULL AND kind IN ('post_pending', 'void_pending'))
);
CREATE UNIQUE INDEX transfers_named ON transfers (id) WHERE call IS NULL OR kind = 'posted';
CREATE UNIQUE INDEX transfers_resolutions ON transfers (resolves) WHERE call IS NULL AND resolves IS NOT NULL;
CREATE INDEX transfers_expiring ON transfers (expires) WHERE expires IS NOT NULL;

-- One row per payment key and attempt; the latest attempt counts, earlier ones are voided. `owner` claimed it, and it alone
-- drives it on after a crash: only it knows which of its calls were sent.
CREATE TABLE settlements (
    id            bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    owner         integer NOT NULL REFERENCES gateways (id),
    key           text NOT NULL,
    attempt       bigint NOT NULL,
    call          bytea NOT NULL CHECK (octet_length(call) = 16),
    caller        text NOT NULL,
    server        text NOT NULL,
    tool          text NOT NULL,
    args          bytea NOT NULL CHECK (octet_length(args) = 32),
    price_version bigint NOT NULL,
    amount        numeric(39) NOT NULL CHECK (amount > 0),
    asset         text NOT NULL,
    funds         text NOT NULL,
    proof         text NOT NULL,
    expires       bigint NOT NULL,
    state         text NOT NULL,
    claimed       bigint NOT NULL,
    updated       bigint NOT NULL,
    result        bytea CHECK (octet_length(result) = 32),
    reference     text,
    reason        text,
    receipt       bytea CHECK (octet_length(receipt) = 16),
    settle        text NOT NULL,
    payer         text NOT NULL,
    refund        text,
    refunded      numeric(39) NOT NULL CHECK (refunded BETWEEN 0 AND amount),
    CONSTRAINT settlements_key UNIQUE (key, attempt),
    CONSTRAINT settlements_call UNIQUE (call)
);
CREATE INDEX settlements_open ON settlements (owner, id)
    WHERE state NOT IN ('settled', 'delivered', 'refunded', 'voided', 'failed', 'in_doubt');

-- What a call answered, for whoever repeats its proof; pruned after a while, the oldest settlement first.
CREATE TABLE results (
    settlement bigint PRIMARY KEY REFERENCES settlements (id),
    stored     bigint NOT NULL,
    private    text,
    body       bytea
);

-- Append-only, chained: each envelope names the hash of the one before it under the same key.
CREATE TABLE receipts (
    position bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    signer   integer NOT NULL REFERENCES gateways (id),
    seq      bigint NOT NULL,
    id       bytea NOT NULL CHECK (octet_length(id) = 16),
    call     bytea NOT NULL CHECK (octet_length(call) = 16),
    free     boolean NOT NULL,
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32),
    envelope text NOT NULL,
    CONSTRAINT receipts_id UNIQUE (id),
    UNIQUE (signer, seq)
);
CREATE INDEX receipts_free ON receipts (call) WHERE free;

-- Escrows. What is searched for has a column; `terms` is what was agreed on and never changes, `standing` is where the escrow
-- stands in full, both as JSON.
CREATE TABLE escrows (
    seq      bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id       bytea NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    payer    text NOT NULL,
    provider text NOT NULL,
    mediator text,
    terms    text NOT NULL,
    state    text NOT NULL,
    phase    text,
    due      bigint,
    version  bigint NOT NULL,
    standing text NOT NULL
);
CREATE INDEX escrows_due ON escrows (due, seq) WHERE due IS NOT NULL;
CREATE INDEX escrows_payer ON escrows (payer, seq);
CREATE INDEX escrows_provider ON escrows (provider, seq);
CREATE INDEX escrows_mediator ON escrows (mediator, seq) WHERE mediator IS NOT NULL;

-- Append-only: what happened to each escrow, in order, without gaps.
CREATE TABLE escrow_events (
    escrow  bigint NOT NULL REFERENCES escrows (seq),
    version bigint NOT NULL,
    at      bigint NOT NULL,
    who     text NOT NULL,
    event   text NOT NULL,
    detail  text NOT NULL,
    state   text NOT NULL,
    PRIMARY KEY (escrow, version)
);

CREATE TABLE standings (
    principal  text PRIMARY KEY,
    reputation integer NOT NULL,
    settled    bigint NOT NULL,
    failed     bigint NOT NULL
);

-- Who may name itself. Digests of secrets, never a secret.
CREATE TABLE api_keys (
    id      bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    name    text NOT NULL,
    hash    bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    tier    integer NOT NULL,
    created bigint NOT NULL,
    revoked bigint
);

-- The definitions of tools: what was approved, and what the server says by now where that is not approved.
CREATE TABLE pins (
    server      text NOT NULL,
    tool        text NOT NULL,
    approved    bytea CHECK (octet_length(approved) = 32),
    definition  text,
    approved_at bigint,
    approved_by text,
    pending     bytea CHECK (octet_length(pending) = 32),
    proposed    text,
    since       bigint,
    PRIMARY KEY (server, tool),
    CHECK (approved IS NOT NULL OR pending IS NOT NULL),
    CHECK ((approved IS NULL) = (definition IS NULL) AND (approved IS NULL) = (approved_at IS NULL)
        AND (approved IS NULL) = (approved_by IS NULL)),
    CHECK ((pending IS NULL) = (proposed IS NULL) AND (pending IS NULL) = (since IS NULL))
);

-- Counts the changes of `api_keys` and of `pins`, whichever process made them; whoever changes one of them holds its row.
CREATE TABLE versions (
    of      text PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO versions VALUES ('api_keys', 0), ('pins', 0);
