-- What waits for a rail is counted and gone through again and again, beside any number of calls that still run. A condition with a list
-- of words would cost a table of its own with every row written.
CREATE INDEX settlements_pending ON settlements (state, call, claimed)
    WHERE state = 'executed' OR state = 'submitted' OR state = 'unknown';
