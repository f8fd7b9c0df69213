-- What waits for a rail is counted and gone through again and again, beside any number of calls that still run.
CREATE INDEX settlements_pending ON settlements (owner, state, call, claimed)
    WHERE state IN ('executed', 'submitted', 'unknown');
