-- Whose steps the redo log beside this file has: drawn by each gateway that starts with it, and named by each of its steps. None before
-- the first one.
ALTER TABLE redo ADD COLUMN run BLOB CHECK (length(run) = 16);
