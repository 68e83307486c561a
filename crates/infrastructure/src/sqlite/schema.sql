-- Format 1 of the ledger. Times are milliseconds since 1970, ids are lower-case UUIDs.
-- A released format is never edited: a later one is a file of its own.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organization (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organization (id),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sandbox (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organization (id),
    name TEXT NOT NULL,
    snapshot TEXT,
    user TEXT,
    -- A JSON object, sealed with the sandbox's id; NULL where it is empty or the sandbox is gone.
    sealed_env BLOB,
    labels TEXT NOT NULL CHECK (json_valid(labels)),
    cpu INTEGER NOT NULL,
    memory_gib INTEGER NOT NULL,
    disk_gib INTEGER NOT NULL,
    auto_stop INTEGER NOT NULL,
    auto_archive INTEGER NOT NULL,
    auto_delete INTEGER,
    network TEXT NOT NULL,
    provider TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    handle TEXT,
    desired TEXT NOT NULL,
    observed TEXT NOT NULL,
    cause TEXT,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    -- When the last of it was gone.
    deleted_at INTEGER
) STRICT;

-- A name is free as soon as somebody has asked for the end of its sandbox.
CREATE UNIQUE INDEX sandbox_name ON sandbox (organization_id, name) WHERE desired <> 'deleted';

-- Lists, in the orders that people ask for. The last one holds all that is filtered and sorted by, so that the other
-- lists read no rows: `deleted_at` too, which is looked up although it is always NULL there.
CREATE INDEX sandbox_by_name ON sandbox (organization_id, name, id) WHERE deleted_at IS NULL;
CREATE INDEX sandbox_by_creation ON sandbox (organization_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX sandbox_by_activity ON sandbox
    (organization_id, last_activity_at, id, desired, observed, name, cpu, memory_gib, disk_gib, deleted_at)
    WHERE deleted_at IS NULL;

-- The labels of what lives, once more: to find sandboxes by them. The triggers below keep it.
CREATE TABLE label (
    organization_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    sandbox_id TEXT NOT NULL,
    PRIMARY KEY (organization_id, key, value, sandbox_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sandbox_label_insert AFTER INSERT ON sandbox WHEN new.labels <> '{}' BEGIN
    INSERT INTO label SELECT new.organization_id, key, value, new.id FROM json_each(new.labels);
END;

CREATE TRIGGER sandbox_label_update AFTER UPDATE ON sandbox
WHEN new.labels <> old.labels OR new.deleted_at IS NOT old.deleted_at BEGIN
    DELETE FROM label WHERE (organization_id, key, value, sandbox_id) IN
        (SELECT old.organization_id, key, value, old.id FROM json_each(old.labels));
    INSERT INTO label SELECT new.organization_id, key, value, new.id FROM json_each(new.labels)
        WHERE new.deleted_at IS NULL;
END;

-- Every try to make a sandbox, written before its provider is asked.
CREATE TABLE attempt (
    sandbox_id TEXT NOT NULL REFERENCES sandbox (id),
    number INTEGER NOT NULL,
    provider TEXT NOT NULL,
    external_name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('planned', 'delivered', 'abandoned', 'gone')),
    at INTEGER NOT NULL,
    PRIMARY KEY (sandbox_id, number)
) STRICT, WITHOUT ROWID;

-- What happened, in the order in which it was committed. Only ever added to.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    organization_id TEXT NOT NULL,
    sandbox_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT
) STRICT;

CREATE INDEX event_of_sandbox ON event (sandbox_id, seq);
