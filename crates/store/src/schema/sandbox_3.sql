-- Sandbox money stands on the ledger, as `credit:eip155:0x…` of each wallet; what stood here was worth nothing, and every
-- wallet is funded anew.
DROP TABLE balances;
DROP TABLE transfers;
DROP TABLE mints;
