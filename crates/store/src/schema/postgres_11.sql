-- Payouts of credit. See ledger_16.sql for the embedded store.
ALTER TABLE payouts RENAME COLUMN provider TO payee;
ALTER TABLE payees RENAME COLUMN provider TO payee;
ALTER INDEX payouts_provider RENAME TO payouts_payee;
