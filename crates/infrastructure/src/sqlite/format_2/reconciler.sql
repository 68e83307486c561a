-- What the reconciler works from. Timers count from `last_activity_at`, `stopped_at` and `destroy_at`.

-- Minutes; 0 is no end of its own.
ALTER TABLE sandbox ADD COLUMN ttl INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandbox ADD COLUMN stopped_at INTEGER;
ALTER TABLE sandbox ADD COLUMN archive_due INTEGER NOT NULL DEFAULT 0 CHECK (archive_due IN (0, 1));
ALTER TABLE sandbox ADD COLUMN destroy_at INTEGER;
-- The longest that the operator let it live, when it was made.
ALTER TABLE sandbox ADD COLUMN lives_until INTEGER;
-- The change that is under way; NULL where there is none.
ALTER TABLE sandbox ADD COLUMN operation_tries INTEGER;
ALTER TABLE sandbox ADD COLUMN operation_next_at INTEGER;
ALTER TABLE sandbox ADD COLUMN operation_parked INTEGER CHECK (operation_parked IN (0, 1));

-- It holds all that is filtered and sorted by, as before.
DROP INDEX sandbox_by_activity;
CREATE INDEX sandbox_by_activity ON sandbox
    (organization_id, last_activity_at, id, desired, observed, name, cpu, memory_gib, disk_gib, deleted_at,
        operation_parked)
    WHERE deleted_at IS NULL;

UPDATE sandbox SET stopped_at = updated_at WHERE observed = 'stopped' AND deleted_at IS NULL;

-- When an abandoned attempt's provider first answered again, and when its name is deleted next.
ALTER TABLE attempt ADD COLUMN answered_at INTEGER;
ALTER TABLE attempt ADD COLUMN next_at INTEGER;

UPDATE attempt SET next_at = at WHERE state = 'abandoned';

CREATE INDEX attempt_abandoned ON attempt (next_at) WHERE state = 'abandoned';
