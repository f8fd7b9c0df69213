-- When the money of a call moves, who pays, and what went back. Rows of before this version were all settled after; where none
-- is named, whoever called has paid.
ALTER TABLE settlements ADD COLUMN settle TEXT NOT NULL DEFAULT 'after';
ALTER TABLE settlements ADD COLUMN payer TEXT;
ALTER TABLE settlements ADD COLUMN refund TEXT;
ALTER TABLE settlements ADD COLUMN refunded TEXT NOT NULL DEFAULT '0';
DROP INDEX settlements_open;
CREATE INDEX settlements_open ON settlements (id)
    WHERE state <> 'settled' AND state <> 'delivered' AND state <> 'refunded' AND state <> 'voided' AND state <> 'failed'
        AND state <> 'in_doubt';
