/**
 * The leases of the catalog in SQLite: rows of the table `leases`, changed by the state machine in `lease.ts`.
 *
 * Except for queries, all of it runs in the catalog's thread, inside a transaction.
 */
import type * as Catalog from "../../Catalog.ts"
import * as Lease from "./lease.ts"
import type { Row } from "./rows.ts"
import type { Database, Reads } from "./sqlite.ts"

/** A lease with its file. */
export interface StoredLease extends Lease.Lease {
  readonly id: string
  readonly key: string
  readonly blob: string
  readonly name: string
  readonly mimeType: string
}

const fromRow = (row: Row): StoredLease => ({
  id: row["id"] as string,
  key: row["key"] as string,
  blob: row["blob"] as string,
  name: row["name"] as string,
  mimeType: row["mime_type"] as string,
  size: row["size"] as number,
  expires: row["expires"] as number | null,
  phase: row["phase"] as Lease.Phase,
  generation: row["generation"] as number,
  countsFirst: row["counts_first"] === 1,
  until: row["until"] as number | null,
  ends: row["ends"] as number | null,
  latest: row["latest"] as number | null
})

const statements = (db: Database) => ({
  find: db.query("SELECT * FROM leases WHERE id = :id"),
  endedOfKey: db.query("SELECT * FROM leases WHERE key = :key AND until <= :now"),
  ended: db.query("SELECT * FROM leases WHERE until <= :now LIMIT :limit"),
  withTransfer: db.query("SELECT * FROM leases WHERE phase IN ('flowing', 'handed')"),
  insert: db.change(`
    INSERT INTO leases (id, key, blob, name, mime_type, size, expires, phase, generation, counts_first, until, ends,
      latest)
    VALUES (:id, :key, :blob, :name, :mimeType, :size, :expires, :phase, :generation, :countsFirst, :until, :ends, :latest)`),
  move: db.change(
    "UPDATE leases SET phase = :phase, generation = :generation, until = :until, ends = :ends WHERE id = :id"
  ),
  unbegin: db.change("UPDATE files SET attempts = max(0, attempts - 1) WHERE key = :key AND blob = :blob"),
  drop: db.change("DELETE FROM leases WHERE id = :id"),
  detach: db.change("UPDATE leases SET key = '' WHERE key = :key"),
  dropOfKey: db.change("DELETE FROM leases WHERE key = :key"),
  expire: db.change("UPDATE leases SET expires = :expires WHERE key = :key")
})

type Sql = ReturnType<typeof statements>

const find = (sql: Sql, id: string): StoredLease | undefined => {
  const row = sql.find.first({ id })
  return row === undefined ? undefined : fromRow(row)
}

/** The leases of a file, summed up. */
const queries = ({ query }: Reads, terms: Lease.Terms) => {
  const ofKey = query("SELECT * FROM leases WHERE key = :key")
  // Ended leases that will count take a download too: they are only not settled yet.
  const takenOf = query(`
    SELECT count(*) AS taken, count(*) FILTER (WHERE until IS NULL OR until > :now) AS live FROM leases
    WHERE key = :key AND phase <> 'counted'
      AND (until IS NULL OR until > :now OR phase = 'handed' OR counts_first = 1)`)
  return {
    /** How many downloads of a file are taken but not counted, and how many of these have not ended. */
    takenOf: (key: string, now: number): { readonly taken: number; readonly live: number } => {
      const { live, taken } = takenOf.first({ key, now })!
      return { taken: taken as number, live: live as number }
    },

    /** When a taken download may become available again; `undefined`: none is taken. */
    freeAt: (key: string, now: number): number | undefined => {
      const live = ofKey.all({ key }).map(fromRow).filter((lease) => Lease.isLive(lease, now))
      return live.length === 0 ? undefined : Math.min(...live.map((lease) => Lease.freeAt(lease, now, terms)))
    }
  }
}

/** One lease, by its id. */
const lookups = (sql: Sql, terms: Lease.Terms) => ({
  /** The lease of a file as its holder sees it, if it can be resumed. */
  held: (id: string, key: string, now: number): Catalog.LeaseState | undefined => {
    const lease = find(sql, id)
    return lease === undefined || lease.key !== key ? undefined : Lease.heldBy(lease, now, terms)
  },

  has: (id: string): boolean => find(sql, id) !== undefined
})

export const make = (
  db: Database,
  terms: Lease.Terms,
  /** Counts a download of a file that still has this content; its bytes are needed until `after`. */
  count: (key: string, blob: string, now: number, after: number) => void
) => {
  const sql = statements(db)

  /** Writes the new state of a lease, and counts its download if the transition does. */
  const move = (before: StoredLease, after: Lease.Lease, now: number): StoredLease => {
    const { ends, generation, phase, until } = after
    if (after === before) return before
    sql.move.run({ id: before.id, phase, generation, until, ends })
    if (phase === "counted" && before.phase !== "counted") count(before.key, before.blob, now, until ?? now)
    return { ...before, ...after }
  }

  const settle = (lease: StoredLease, now: number): void => {
    sql.drop.run({ id: lease.id })
    if (Lease.settled(lease) === "counts") count(lease.key, lease.blob, now, now)
  }

  return {
    ...queries(db, terms),
    ...lookups(sql, terms),

    settleOf: (key: string, now: number): void => {
      for (const row of sql.endedOfKey.all({ key, now })) settle(fromRow(row), now)
    },

    /** Settles ended leases, at most `limit`; returns how many. */
    settleSome: (now: number, limit: number): number => {
      const ended = sql.ended.all({ now, limit })
      for (const row of ended) settle(fromRow(row), now)
      return ended.length
    },

    /** The transfers of the previous process. */
    interrupt: (now: number): void => {
      for (const row of sql.withTransfer.all()) {
        const lease = fromRow(row)
        move(lease, Lease.interrupted(lease, now, terms), now)
      }
    },

    claim: (
      file: Pick<StoredLease, "id" | "key" | "blob" | "name" | "mimeType" | "size" | "expires" | "countsFirst">,
      now: number
    ): StoredLease => {
      const { blob, countsFirst, expires, id, key, mimeType, name, size } = file
      const lease = { id, key, blob, name, mimeType, ...Lease.claimed({ countsFirst, expires, size }, now, terms) }
      sql.insert.run({ ...lease, countsFirst: countsFirst ? 1 : 0 })
      return lease
    },

    resume: (id: string, key: string, now: number): StoredLease | undefined => {
      const lease = find(sql, id)
      if (lease === undefined || lease.key !== key) return undefined
      const resumed = Lease.resumed(lease, now, terms)
      return resumed === undefined ? undefined : move(lease, resumed, now)
    },

    /** Whether the last byte may be sent. */
    handOver: (id: string, generation: number, now: number): boolean => {
      const lease = find(sql, id)
      const handed = lease === undefined ? undefined : Lease.handedOver(lease, generation, now)
      if (handed === undefined) return false
      move(lease!, handed, now)
      return true
    },

    commit: (id: string, now: number): void => {
      const lease = find(sql, id)
      if (lease !== undefined) move(lease, Lease.committed(lease, now, terms), now)
    },

    release: (id: string, generation: number, now: number, sent: number): void => {
      const lease = find(sql, id)
      if (lease !== undefined) move(lease, Lease.broke(lease, generation, now, terms, sent), now)
    },

    prolong: (id: string, generation: number, now: number, sent: number): void => {
      const lease = find(sql, id)
      if (lease !== undefined) move(lease, Lease.prolonged(lease, generation, now, terms, sent), now)
    },

    abandon: (id: string, generation: number, now: number): void => {
      const lease = find(sql, id)
      if (lease === undefined) return
      const after = Lease.abandoned(lease, generation, now, terms)
      if (after !== undefined) {
        move(lease, after, now)
        return
      }
      sql.drop.run({ id })
      sql.unbegin.run({ key: lease.key, blob: lease.blob })
    },

    /**
     * The file has other content. Receivers of the old one get the rest of it, but it counts for nothing, and cannot be
     * resumed.
     */
    detach: (key: string): void => {
      sql.detach.run({ key })
    },

    /** The file was deleted: nobody gets its last byte. */
    drop: (key: string): void => {
      sql.dropOfKey.run({ key })
    },

    expire: (key: string, expires: number | null): void => {
      sql.expire.run({ key, expires })
    }
  }
}

export type SqliteLeases = ReturnType<typeof make>
