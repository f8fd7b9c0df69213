-- How often a known caller has called a tool, and what it has spent: counted from the attempts themselves, so that a claim counts
-- with its own commit and what comes to nothing does not. Only API keys are counted; no other call pays for this index.
CREATE INDEX settlements_called ON settlements (caller, server, tool, claimed)
    WHERE caller >= 'key_' AND caller < 'key`' AND state <> 'voided' AND state <> 'failed' AND state <> 'in_doubt'
        AND state <> 'refund_due' AND state <> 'refunded';
