-- Which sealed quote a payment answered: whoever repeats a proof that anybody can read on a chain shows that quote again. Rows of
-- before this version name none, and are repeated by nobody.
ALTER TABLE settlements ADD COLUMN quote bytea CHECK (octet_length(quote) = 32);
