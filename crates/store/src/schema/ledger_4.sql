-- Transfers that can be asked for more than once have an id to be found by: all but the reservations of calls and their
-- resolutions. A named pending transfer is resolved at most once, and may expire.
ALTER TABLE transfers ADD COLUMN expires INTEGER;
DROP INDEX transfers_posted;
CREATE UNIQUE INDEX transfers_named ON transfers (id) WHERE call IS NULL OR kind = 'posted';
CREATE UNIQUE INDEX transfers_resolutions ON transfers (resolves) WHERE call IS NULL AND resolves IS NOT NULL;
CREATE INDEX transfers_expiring ON transfers (expires) WHERE expires IS NOT NULL;
