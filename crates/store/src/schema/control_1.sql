-- Who may change what a gateway serves. Digests of secrets, never a secret.
CREATE TABLE admin_keys (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    name    TEXT NOT NULL,
    hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT;

-- What lies over the configuration file, whole.
CREATE TABLE overlay (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    text    TEXT NOT NULL
) STRICT;
INSERT INTO overlay VALUES (1, 0, '{}');

-- Append-only: what was changed, by whom (without an id: by the file). A change and its record are one transaction.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    admin   BLOB CHECK (admin IS NULL OR length(admin) = 16),
    what    TEXT NOT NULL,
    target  TEXT NOT NULL,
    before  TEXT NOT NULL,
    after   TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
