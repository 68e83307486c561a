-- Format 2, events: who did it, and a hash that binds each event to everything before it. The events of format 1 get
-- their hashes by the step that runs this.

ALTER TABLE event ADD COLUMN actor TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE event ADD COLUMN hash BLOB CHECK (length(hash) = 32);

CREATE INDEX event_of_organization ON event (organization_id, seq);

CREATE TRIGGER event_is_added_at_the_end BEFORE INSERT ON event
WHEN new.hash IS NULL OR new.seq <= (SELECT max(seq) FROM event) BEGIN
    SELECT RAISE(ABORT, 'events are only added at the end, with their hash');
END;

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event WHEN old.hash IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

-- Retention notes the last event that goes, with its hash, before it deletes any.
CREATE TRIGGER event_is_kept BEFORE DELETE ON event
WHEN old.seq > coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'events_end_of_deleted'), 0) BEGIN
    SELECT RAISE(ABORT, 'events are deleted by retention alone, the oldest first');
END;

-- What is long gone, for retention, and what goes with it.
CREATE INDEX sandbox_by_end ON sandbox (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TRIGGER sandbox_takes_its_attempts BEFORE DELETE ON sandbox BEGIN
    DELETE FROM attempt WHERE sandbox_id = old.id;
    DELETE FROM label WHERE (organization_id, key, value, sandbox_id) IN
        (SELECT old.organization_id, key, value, old.id FROM json_each(old.labels));
END;
