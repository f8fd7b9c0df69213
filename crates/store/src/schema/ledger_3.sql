-- The definitions of tools: what was approved, and what the server says by now where that is not approved. The texts are
-- the canonical forms whose SHA-256 the hashes are.
CREATE TABLE pins (
    server      TEXT NOT NULL,
    tool        TEXT NOT NULL,
    approved    BLOB CHECK (approved IS NULL OR length(approved) = 32),
    definition  TEXT,
    approved_at INTEGER,
    approved_by TEXT,
    pending     BLOB CHECK (pending IS NULL OR length(pending) = 32),
    proposed    TEXT,
    since       INTEGER,
    PRIMARY KEY (server, tool),
    CHECK (approved IS NOT NULL OR pending IS NOT NULL),
    CHECK ((approved IS NULL) = (definition IS NULL) AND (approved IS NULL) = (approved_at IS NULL)
        AND (approved IS NULL) = (approved_by IS NULL)),
    CHECK ((pending IS NULL) = (proposed IS NULL) AND (pending IS NULL) = (since IS NULL))
) STRICT;

-- Counts the changes of `pins`, whichever process made them.
CREATE TABLE pins_version (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO pins_version VALUES (1, 0);
