/** The catalog's tables in SQLite. */
import { NewerSchema } from "./newerSchema.ts"
import type { Database } from "./sqlite.ts"

/** Each runs once, in this order; a released one is never changed. */
export const MIGRATIONS: ReadonlyArray<string> = [
  `
  CREATE TABLE files (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL,
    blob TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    plan TEXT NOT NULL,
    name TEXT NOT NULL,
    folded_name TEXT NOT NULL,
    title TEXT,
    mime_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    expires INTEGER,
    downloads INTEGER NOT NULL,
    max_downloads INTEGER,
    auto_delete INTEGER NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX files_by_creation ON files (owner, created, seq);
  CREATE INDEX files_by_expiry ON files (expires) WHERE expires IS NOT NULL;

  CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    generation INTEGER NOT NULL,
    blob TEXT NOT NULL,
    name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    expires INTEGER,
    consumed INTEGER NOT NULL,
    -- NULL while bytes flow; then the time at which the lease ends.
    until INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX leases_by_key ON leases (key);

  CREATE TABLE tombstones (key TEXT PRIMARY KEY, buried INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE garbage (blob TEXT PRIMARY KEY, after INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE usage (owner TEXT PRIMARY KEY, bytes INTEGER NOT NULL, files INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TRIGGER usage_insert AFTER INSERT ON files BEGIN
    INSERT INTO usage (owner, bytes, files) VALUES (NEW.owner, NEW.size, 1)
      ON CONFLICT (owner) DO UPDATE SET bytes = bytes + NEW.size, files = files + 1;
  END;
  CREATE TRIGGER usage_delete AFTER DELETE ON files BEGIN
    UPDATE usage SET bytes = bytes - OLD.size, files = files - 1 WHERE owner = OLD.owner;
  END;
  CREATE TRIGGER usage_update AFTER UPDATE OF size ON files BEGIN
    UPDATE usage SET bytes = bytes + NEW.size - OLD.size WHERE owner = NEW.owner;
  END;
  `,
  `
  -- The last byte is about to be handed over, or was.
  ALTER TABLE leases ADD COLUMN handed INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX leases_by_end ON leases (until) WHERE until IS NOT NULL;

  -- What has ended is found without looking at what has not.
  DROP INDEX files_by_expiry;
  CREATE INDEX files_expiring ON files (expires)
    WHERE (auto_delete = 1 OR owner = '') AND expires IS NOT NULL;
  CREATE INDEX files_used_up ON files (owner)
    WHERE (auto_delete = 1 OR owner = '') AND max_downloads IS NOT NULL AND downloads >= max_downloads;

  -- A page of a listing is read from an index, whatever it is sorted by; a search needs the sizes too.
  CREATE INDEX files_by_name ON files (owner, folded_name, seq, size);
  CREATE INDEX files_by_id ON files (owner, id);
  CREATE INDEX files_by_key ON files (owner, key);
  CREATE INDEX files_by_title ON files (owner, title);
  CREATE INDEX files_by_size ON files (owner, size);
  CREATE INDEX files_by_type ON files (owner, mime_type);
  CREATE INDEX files_by_expiry ON files (owner, expires);
  CREATE INDEX files_by_downloads ON files (owner, downloads);
  CREATE INDEX files_by_max_downloads ON files (owner, max_downloads);
  CREATE INDEX files_by_auto_delete ON files (owner, auto_delete);
  CREATE INDEX files_by_change ON files (owner, modified);
  `,
  `
  -- Downloads that were begun, and when the last one was; and from which byte on a download counts.
  ALTER TABLE files ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE files ADD COLUMN last_attempt INTEGER;
  ALTER TABLE files ADD COLUMN count_from TEXT NOT NULL DEFAULT 'last-byte';
  UPDATE files SET attempts = downloads WHERE downloads > 0;

  -- A lease has one state instead of flags, and a latest end; see lease.ts.
  DROP INDEX leases_by_key;
  DROP INDEX leases_by_end;
  ALTER TABLE leases RENAME TO flagged_leases;
  CREATE TABLE leases (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    blob TEXT NOT NULL,
    name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    expires INTEGER,
    phase TEXT NOT NULL,
    generation INTEGER NOT NULL,
    counts_first INTEGER NOT NULL,
    until INTEGER,
    ends INTEGER
  ) STRICT, WITHOUT ROWID;
  INSERT INTO leases
    SELECT id, key, blob, name, mime_type, size, expires,
      CASE WHEN consumed = 1 THEN 'counted' WHEN handed = 1 THEN 'handed' WHEN until IS NULL THEN 'flowing' ELSE 'broken' END,
      generation, 0, until, NULL
    FROM flagged_leases WHERE key <> '';
  DROP TABLE flagged_leases;
  CREATE INDEX leases_by_key ON leases (key);
  CREATE INDEX leases_by_end ON leases (until) WHERE until IS NOT NULL;
  `,
  `
  -- Which store the bytes are in; and blobs that are to become a file's, recorded before they are stored.
  CREATE TABLE store (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  ALTER TABLE garbage ADD COLUMN expected INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- Tombstones end.
  CREATE INDEX tombstones_by_time ON tombstones (buried);
  `,
  `
  -- Uploads that can be resumed. A complete one has the file that came of it, for a client that lost the response.
  CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    request TEXT NOT NULL,
    blob TEXT NOT NULL,
    state TEXT,
    received INTEGER NOT NULL,
    length INTEGER,
    generation INTEGER NOT NULL,
    file TEXT,
    ends INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX uploads_by_owner ON uploads (owner, received);
  CREATE INDEX uploads_by_blob ON uploads (blob);
  CREATE INDEX uploads_by_end ON uploads (ends);
  `,
  `
  -- A lease ends unless bytes are sent, and at its latest end whatever is sent; see lease.ts.
  ALTER TABLE leases ADD COLUMN latest INTEGER;
  UPDATE leases SET latest = ends;
  `,
  `
  -- Every index costs a page of the log for each upload, and those on downloads and times one for each download too. Lists in the
  -- orders that people use keep theirs; the others sort the files of the account.
  DROP INDEX files_by_id;
  DROP INDEX files_by_key;
  DROP INDEX files_by_title;
  DROP INDEX files_by_type;
  DROP INDEX files_by_downloads;
  DROP INDEX files_by_max_downloads;
  DROP INDEX files_by_auto_delete;
  DROP INDEX files_by_change;
  `,
  `
  -- The hash of the secret with which its sender deletes a file, and asks what became of it.
  ALTER TABLE files ADD COLUMN delete_hash TEXT;
  ALTER TABLE tombstones ADD COLUMN delete_hash TEXT;
  ALTER TABLE tombstones ADD COLUMN fate TEXT;
  `,
  `
  -- The bytes of small files.
  CREATE TABLE contents (blob TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  `
]

/** Brings the schema up to date. */
export const migrate = ({ change, exec, query, transaction }: Database): void => {
  transaction(() => exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY) STRICT"))
  const done = query("SELECT coalesce(max(version), 0) AS version FROM migrations").first()!["version"] as number
  if (done > MIGRATIONS.length) {
    throw new NewerSchema(done, MIGRATIONS.length)
  }
  const record = change("INSERT INTO migrations (version) VALUES (:version)")
  MIGRATIONS.slice(done).forEach((migration, index) =>
    transaction(() => {
      exec(migration)
      record.run({ version: done + index + 1 })
    })
  )
}
