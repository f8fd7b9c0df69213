-- Open escrows by state, which are counted, and disputes by phase, which are looked for: both are few, however many escrows there were. See ledger_13.sql for the embedded store.
CREATE INDEX escrows_open ON escrows (state) WHERE state IN ('created', 'funded', 'locked', 'delivered', 'disputed');
CREATE INDEX escrows_phase ON escrows (phase, seq) WHERE phase IS NOT NULL;
