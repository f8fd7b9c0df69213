-- A payout takes earnings of a provider, or credit of a wallet: whose limit per day it counts in is no provider's name then (`credit:*`).
ALTER TABLE payouts RENAME COLUMN provider TO payee;
ALTER TABLE payees RENAME COLUMN provider TO payee;
DROP INDEX payouts_provider;
CREATE INDEX payouts_payee ON payouts (payee, seq);
