-- How many transactions were committed whose steps went into the redo log first: steps of a later one are to be written again.
CREATE TABLE redo (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    transactions INTEGER NOT NULL
) STRICT;
INSERT INTO redo VALUES (1, 0);
