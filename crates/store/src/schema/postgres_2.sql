-- A free call is claimed like any other, and moves nothing.
ALTER TABLE settlements DROP CONSTRAINT settlements_amount_check;
ALTER TABLE settlements ADD CONSTRAINT settlements_amount_check
    CHECK (amount > 0 OR amount = 0 AND starts_with(funds, 'free:'));

-- How often a known caller has called a tool, and what it has spent: counted from the attempts themselves, so that a claim counts
-- with its own commit and what comes to nothing does not. Only API keys are counted; no other call pays for this index.
CREATE INDEX settlements_called ON settlements (caller, server, tool, claimed)
    WHERE starts_with(caller, 'key_') AND state NOT IN ('voided', 'failed', 'in_doubt', 'refund_due', 'refunded');
