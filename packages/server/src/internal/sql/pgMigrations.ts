/** The catalog's tables in PostgreSQL. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { CatalogError } from "../../Catalog.ts"
import { NewerSchema } from "./newerSchema.ts"
import type { Postgres } from "./postgres.ts"

/** Each runs once, in this order; a released one is never changed. */
const MIGRATIONS: ReadonlyArray<ReadonlyArray<string>> = [
  [
    // Text is compared by its bytes, as in SQLite, so that a listing has one order everywhere.
    `CREATE TABLE files (
      seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      key TEXT COLLATE "C" NOT NULL UNIQUE,
      id TEXT COLLATE "C" NOT NULL,
      blob TEXT COLLATE "C" NOT NULL UNIQUE,
      owner TEXT COLLATE "C" NOT NULL,
      plan TEXT NOT NULL,
      name TEXT NOT NULL,
      folded_name TEXT COLLATE "C" NOT NULL,
      title TEXT COLLATE "C",
      mime_type TEXT COLLATE "C" NOT NULL,
      size BIGINT NOT NULL,
      expires BIGINT,
      downloads BIGINT NOT NULL,
      -- Downloads that are under way. Kept in the row, so that one conditional update of it is the claim.
      live BIGINT NOT NULL DEFAULT 0,
      max_downloads BIGINT,
      auto_delete BOOLEAN NOT NULL,
      created BIGINT NOT NULL,
      modified BIGINT NOT NULL
    ) WITH (fillfactor = 80)`,
    `CREATE INDEX files_expiring ON files (expires) WHERE (auto_delete OR owner = '') AND expires IS NOT NULL`,
    `CREATE INDEX files_used_up ON files (owner)
      WHERE (auto_delete OR owner = '') AND max_downloads IS NOT NULL AND downloads >= max_downloads`,
    // A page of a listing is read from an index, for the common orders.
    `CREATE INDEX files_by_creation ON files (owner, created, seq)`,
    `CREATE INDEX files_by_name ON files (owner, folded_name, seq)`,
    `CREATE INDEX files_by_size ON files (owner, size, seq)`,
    `CREATE INDEX files_by_expiry ON files (owner, expires NULLS FIRST, seq)`,

    `CREATE TABLE leases (
      id TEXT PRIMARY KEY,
      key TEXT COLLATE "C" NOT NULL,
      generation BIGINT NOT NULL,
      blob TEXT COLLATE "C" NOT NULL,
      name TEXT NOT NULL,
      mime_type TEXT NOT NULL,
      size BIGINT NOT NULL,
      expires BIGINT,
      consumed BOOLEAN NOT NULL,
      -- The last byte is about to be handed over, or was.
      handed BOOLEAN NOT NULL,
      -- Which process hands the bytes over, and whether it does so now.
      server TEXT NOT NULL,
      flowing BOOLEAN NOT NULL,
      until BIGINT NOT NULL
    ) WITH (fillfactor = 70)`,
    `CREATE INDEX leases_by_key ON leases (key)`,
    `CREATE INDEX leases_by_end ON leases (until)`,
    `CREATE INDEX leases_flowing ON leases (server) WHERE flowing`,

    `CREATE TABLE tombstones (key TEXT COLLATE "C" PRIMARY KEY, buried BIGINT NOT NULL)`,
    `CREATE TABLE garbage (blob TEXT COLLATE "C" PRIMARY KEY, after BIGINT NOT NULL)`,

    // In shards: all anonymous files have one owner, and their uploads must not wait for one row.
    `CREATE TABLE usage (
      owner TEXT COLLATE "C" NOT NULL,
      part BIGINT NOT NULL,
      bytes BIGINT NOT NULL,
      files BIGINT NOT NULL,
      PRIMARY KEY (owner, part)
    ) WITH (fillfactor = 50)`,
    `CREATE FUNCTION count_usage() RETURNS TRIGGER LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        INSERT INTO usage (owner, part, bytes, files) VALUES (NEW.owner, NEW.seq & 15, NEW.size, 1)
          ON CONFLICT (owner, part) DO UPDATE SET bytes = usage.bytes + NEW.size, files = usage.files + 1;
      ELSIF TG_OP = 'DELETE' THEN
        UPDATE usage SET bytes = bytes - OLD.size, files = files - 1 WHERE owner = OLD.owner AND part = OLD.seq & 15;
      ELSE
        UPDATE usage SET bytes = bytes + NEW.size - OLD.size WHERE owner = NEW.owner AND part = NEW.seq & 15;
      END IF;
      RETURN NULL;
    END $$`,
    `CREATE TRIGGER usage_rows AFTER INSERT OR DELETE ON files FOR EACH ROW EXECUTE FUNCTION count_usage()`,
    `CREATE TRIGGER usage_sizes AFTER UPDATE OF size ON files FOR EACH ROW
      WHEN (OLD.size IS DISTINCT FROM NEW.size) EXECUTE FUNCTION count_usage()`
  ],
  [
    // Downloads that began, and when the last one did; and from which byte on a download counts.
    `ALTER TABLE files ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0, ADD COLUMN last_attempt BIGINT,
      ADD COLUMN count_from TEXT NOT NULL DEFAULT 'last-byte'`,
    `UPDATE files SET attempts = downloads WHERE downloads > 0`,
    // A lease has a latest end, and may count however it ends; see lease.ts.
    `ALTER TABLE leases ADD COLUMN counts_first BOOLEAN NOT NULL DEFAULT FALSE, ADD COLUMN ends BIGINT, DROP COLUMN server`,
    `DELETE FROM leases WHERE key = ''`
  ],
  [
    // The store of the bytes.
    `CREATE TABLE store (id TEXT PRIMARY KEY)`
  ],
  [
    // Tombstones end.
    `CREATE INDEX tombstones_by_time ON tombstones (buried)`
  ],
  [
    // A lease ends unless bytes are sent, and at its latest end whatever is sent; see lease.ts.
    `ALTER TABLE leases ADD COLUMN latest BIGINT`,
    `UPDATE leases SET latest = ends`
  ],
  [
    // Uploads that can be resumed. A complete one has the file that came of it, for a client that lost the response.
    `CREATE TABLE uploads (
      id TEXT COLLATE "C" PRIMARY KEY,
      owner TEXT COLLATE "C" NOT NULL,
      request TEXT NOT NULL,
      blob TEXT COLLATE "C" NOT NULL,
      state TEXT,
      received BIGINT NOT NULL,
      length BIGINT,
      generation BIGINT NOT NULL,
      file TEXT,
      ends BIGINT NOT NULL
    ) WITH (fillfactor = 70)`,
    `CREATE INDEX uploads_by_owner ON uploads (owner)`,
    `CREATE INDEX uploads_by_blob ON uploads (blob)`,
    `CREATE INDEX uploads_by_end ON uploads (ends)`
  ],
  [
    // The hash of the secret with which its sender deletes a file, and asks what became of it.
    `ALTER TABLE files ADD COLUMN delete_hash TEXT`,
    `ALTER TABLE tombstones ADD COLUMN delete_hash TEXT, ADD COLUMN fate TEXT`
  ],
  [
    // Which shard this database is, if the catalog is divided; one row.
    `CREATE TABLE shard (single BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (single), id TEXT NOT NULL, members TEXT NOT NULL)`
  ]
]

/** A constant: servers that start at the same time take turns with the migrations. */
const LOCK = 4_051_907_433
/** A migration of many files may take long, and waits for another server's. */
const DEADLINE = Duration.hours(1)

/** Brings the schema up to date. */
export const migrate = ({ query, transaction }: Postgres): Effect.Effect<void, CatalogError> => {
  const run = (text: string, values: ReadonlyArray<unknown> = []) => query("change", text, values)
  const migration = Effect.gen(function*() {
    yield* run("SET LOCAL statement_timeout = 0")
    yield* run("SELECT pg_advisory_xact_lock($1)", [BigInt(LOCK)])
    yield* run("CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)")
    const [row] = yield* run("SELECT coalesce(max(version), 0) AS version FROM migrations")
    const done = Number(row!["version"])
    if (done > MIGRATIONS.length) {
      const cause = new NewerSchema(done, MIGRATIONS.length)
      return yield* new CatalogError({ cause, problem: cause.message })
    }
    for (const [index, statements] of MIGRATIONS.slice(done).entries()) {
      for (const statement of statements) yield* run(statement)
      yield* run("INSERT INTO migrations (version) VALUES ($1)", [BigInt(done + index + 1)])
    }
  })
  return transaction(migration, DEADLINE)
}
