-- Who shares what a call earns with the server of its tool.
ALTER TABLE settlements ADD COLUMN splits TEXT;
