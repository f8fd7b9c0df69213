-- Who shares what a call earns with the server of its tool. See ledger_11.sql for the embedded store.
ALTER TABLE settlements ADD COLUMN splits text NOT NULL DEFAULT '';
