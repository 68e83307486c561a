-- Format 2, part "quotas": who made a sandbox, what is reserved, and which requests were sent before.

-- The API key that asked for it; NULL where nobody noted that.
ALTER TABLE sandbox ADD COLUMN created_by TEXT;

-- Whether it takes neither cores nor memory. As the core's `Reserved::of` has it.
ALTER TABLE sandbox ADD COLUMN rests INTEGER
    GENERATED ALWAYS AS (observed = 'stopped' AND desired <> 'started') VIRTUAL;

-- Whoever was made within the last minute, deleted or not: for the rate of creates.
CREATE INDEX sandbox_creates ON sandbox (created_at, organization_id, created_by);

-- What the sandboxes of an organization, and those made by a key, take together. Summing up ten thousand rows takes
-- three milliseconds, which no create has; so the triggers below keep the sums, and each start compares them with a recount.
CREATE TABLE reserved (
    -- An organization or an API key.
    owner TEXT PRIMARY KEY,
    sandboxes INTEGER NOT NULL,
    cpu INTEGER NOT NULL,
    memory_gib INTEGER NOT NULL,
    disk_gib INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW recount AS
    WITH holding AS (
        SELECT organization_id, created_by, NOT rests AS runs, cpu, memory_gib, disk_gib
        FROM sandbox WHERE deleted_at IS NULL
    ), owned AS (
        SELECT organization_id AS owner, runs, cpu, memory_gib, disk_gib FROM holding
        UNION ALL
        SELECT created_by, runs, cpu, memory_gib, disk_gib FROM holding WHERE created_by IS NOT NULL
    )
    SELECT owner, count(*) AS sandboxes, sum(runs * cpu) AS cpu, sum(runs * memory_gib) AS memory_gib,
        sum(disk_gib) AS disk_gib
    FROM owned GROUP BY owner;

INSERT INTO reserved SELECT * FROM recount;

CREATE TRIGGER sandbox_reserve AFTER INSERT ON sandbox WHEN new.deleted_at IS NULL BEGIN
    INSERT INTO reserved
        SELECT value, 1, (NOT new.rests) * new.cpu, (NOT new.rests) * new.memory_gib, new.disk_gib
        FROM json_each(json_array(new.organization_id, new.created_by)) WHERE value IS NOT NULL
    ON CONFLICT (owner) DO UPDATE SET
        sandboxes = sandboxes + excluded.sandboxes,
        cpu = cpu + excluded.cpu,
        memory_gib = memory_gib + excluded.memory_gib,
        disk_gib = disk_gib + excluded.disk_gib;
END;

CREATE TRIGGER sandbox_reserve_anew
AFTER UPDATE OF desired, observed, cpu, memory_gib, disk_gib, deleted_at ON sandbox
WHEN (new.rests, new.cpu, new.memory_gib, new.disk_gib, new.deleted_at IS NULL)
    IS NOT (old.rests, old.cpu, old.memory_gib, old.disk_gib, old.deleted_at IS NULL)
BEGIN
    UPDATE reserved SET
        sandboxes = sandboxes - 1,
        cpu = cpu - (NOT old.rests) * old.cpu,
        memory_gib = memory_gib - (NOT old.rests) * old.memory_gib,
        disk_gib = disk_gib - old.disk_gib
    WHERE owner IN (old.organization_id, old.created_by) AND old.deleted_at IS NULL;
    UPDATE reserved SET
        sandboxes = sandboxes + 1,
        cpu = cpu + (NOT new.rests) * new.cpu,
        memory_gib = memory_gib + (NOT new.rests) * new.memory_gib,
        disk_gib = disk_gib + new.disk_gib
    WHERE owner IN (new.organization_id, new.created_by) AND new.deleted_at IS NULL;
END;

-- Requests that are to have their effect once, by the names that clients gave them.
CREATE TABLE idempotency (
    organization_id TEXT NOT NULL,
    key TEXT NOT NULL,
    -- A mark of what was asked for, made with the key beside the ledger.
    request BLOB NOT NULL CHECK (length(request) = 32),
    sandbox_id TEXT NOT NULL REFERENCES sandbox (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_of_sandbox ON idempotency (sandbox_id);
CREATE INDEX idempotency_by_end ON idempotency (expires_at);

-- A create that was given up has had no effect: sent again, it is tried again.
CREATE TRIGGER sandbox_given_up AFTER UPDATE OF desired ON sandbox
WHEN old.observed = 'pending' AND old.desired <> 'deleted' AND new.desired = 'deleted' BEGIN
    DELETE FROM idempotency WHERE sandbox_id = new.id;
END;
