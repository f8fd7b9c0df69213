-- Limits that all gateways count together: when each bucket is full again, in nanoseconds since the Unix epoch by the clock of this
-- database. Not logged: after a crash of the database every bucket is full, as it is for a gateway that counts alone and starts again.
CREATE UNLOGGED TABLE shared_limits (
    key bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    full_at bigint NOT NULL
);

-- Takes from all of these buckets or from none. No row: it was taken. One row: the place (from 1) of the bucket that takes longest to
-- have room, and after how many nanoseconds it has.
CREATE FUNCTION take_shared_limits(keys bytea[], costs bigint[], fulls bigint[])
RETURNS TABLE (crowded bigint, wait bigint) LANGUAGE plpgsql AS $$
DECLARE
    moment bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000;
BEGIN
    -- Makes what is not there and locks all, in one order: calls wait for each other and never in a circle.
    INSERT INTO shared_limits AS s (key, full_at) SELECT k, moment FROM unnest(keys) AS k ORDER BY k
        ON CONFLICT (key) DO UPDATE SET full_at = greatest(s.full_at, excluded.full_at);
    moment := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000;
    -- After the clock was set back a moment may lie further ahead than a whole bucket: it is cut, as every gateway does.
    SELECT a.place, greatest(least(s.full_at, moment + a.whole), moment) + a.cost - moment - a.whole INTO crowded, wait
        FROM unnest(keys, costs, fulls) WITH ORDINALITY AS a (k, cost, whole, place) JOIN shared_limits s ON s.key = a.k
        ORDER BY 2 DESC LIMIT 1;
    IF wait > 0 THEN
        RETURN NEXT;
        RETURN;
    END IF;
    UPDATE shared_limits s SET full_at = greatest(least(s.full_at, moment + a.whole), moment) + a.cost
        FROM unnest(keys, costs, fulls) AS a (k, cost, whole) WHERE s.key = a.k;
END $$;
