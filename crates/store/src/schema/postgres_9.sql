-- A transfer names its accounts by the rows that the same transaction has just written, and writes nothing if there is one too few:
-- looking each of them up once more took a sixth of the database's time. `ledger check` finds a transfer whose account is gone.
ALTER TABLE transfers DROP CONSTRAINT transfers_debit_fkey;
ALTER TABLE transfers DROP CONSTRAINT transfers_credit_fkey;
