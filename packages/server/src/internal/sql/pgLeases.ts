/**
 * The leases of the catalog in PostgreSQL. Each transition of `lease.ts` is one conditional statement, so that concurrent
 * servers wait for each other's row, and the later one sees what the earlier one did.
 *
 * Three columns store the phase of a lease: `consumed` is `counted`; else `handed` is `handed`; else `flowing` is `flowing`,
 * and none of them `broken`.
 *
 * A lease takes one of its file's downloads (`files.live`) until it is settled, not until its time is over: so a file held by
 * one server is not given by another, whatever the clocks do. Every statement locks a lease's row before its file's, so that no
 * two deadlock.
 */
import * as Effect from "effect/Effect"
import type { CatalogError, Claim, Lease, LeaseState, Progress, Unavailable } from "../../Catalog.ts"
import * as Machine from "./lease.ts"
import type { Prepared } from "./pgPrepare.ts"
import { IN_TIME, type Row } from "./rows.ts"

const toLease = (row: Row): Lease => ({
  id: row["id"] as string,
  key: row["key"] as string,
  generation: Number(row["generation"]),
  counted: row["consumed"] === true,
  blob: row["blob"] as string,
  name: row["name"] as string,
  mimeType: row["mime_type"] as string,
  size: Number(row["size"])
})

interface UnderWay {
  readonly unavailable: Unavailable
  /** Whether asking again may help: leases have ended and are not settled yet, or another call has just settled them. */
  readonly maybe: boolean
}

const HANDED_WAIT = "20 millis"
const HANDED_WAITS = 25
/** How often a claim is repeated that concurrent claims were faster with. */
const CLAIMS = 3

/** A claim that ran while the content was replaced is a lease of the old content, which nobody can resume. */
const CURRENT = "NOT EXISTS (SELECT 1 FROM files WHERE files.key = leases.key AND files.blob <> leases.blob)"

/** Downloads of a file that are taken and not counted, settled or not. */
export const TAKEN = `(SELECT count(*) FROM leases
  WHERE leases.key = files.key AND leases.blob = files.blob AND NOT consumed
    AND (until > :now OR handed OR counts_first))`

/** Ended leases: those that handed over their last byte count, the others give their download back. */
const settleWhere = (condition: string) => `
  WITH ended AS (
    DELETE FROM leases WHERE NOT consumed AND until <= :now AND ${condition}
    RETURNING key, blob, handed OR counts_first AS counts
  ), sums AS (
    SELECT key, blob, count(*) AS leases, count(*) FILTER (WHERE counts) AS done FROM ended GROUP BY key, blob
  )
  UPDATE files SET live = live - sums.leases, downloads = downloads + sums.done
  FROM sums WHERE files.key = sums.key AND files.blob = sums.blob RETURNING files.key, sums.done`

const countWhere = (condition: string, grace: number) => `
  WITH done AS (
    UPDATE leases SET consumed = TRUE, flowing = FALSE,
      until = CASE WHEN until > :now THEN :now + ${grace} ELSE until END
    WHERE id = :lease AND ${condition} RETURNING key, blob
  )
  UPDATE files SET downloads = downloads + 1, live = live - 1
  FROM done WHERE files.key = done.key AND files.blob = done.blob RETURNING files.key`

type Terms = Machine.Terms & { readonly hold: number }

const statements = (
  { prepare, relaxed }: Prepared,
  terms: Terms,
  maxBroken: number
) => {
  const { grace, hold, minimumRate } = terms
  const allowance = Machine.allowance(terms)
  const [ends, latest] = minimumRate === 0
    ? ["NULL::bigint", "NULL::bigint"]
    : [`:now + ${allowance}`, `:now + ${allowance} + (size * 1000 + ${minimumRate - 1}) / ${minimumRate}`]
  // `ends` after these bytes were sent.
  const credited = (sent: string) =>
    minimumRate === 0
      ? "NULL::bigint"
      : `least(latest, :now + ${allowance}, ends + (${sent} * 1000 + ${minimumRate - 1}) / ${minimumRate})`
  // `until` of a counted lease after that.
  const keptCounted = (sent: string) => `greatest(until, least(:now + ${grace}, ${credited(sent)}))`
  const [released, prolonged] = [":sent::bigint", "mine.sent"]
  return {
    claim: relaxed<"key" | "lease">(`
      WITH taken AS (
        UPDATE files SET live = live + 1, attempts = attempts + 1, last_attempt = :now
        WHERE key = :key AND ${IN_TIME} AND (max_downloads IS NULL OR downloads + live < max_downloads)
        RETURNING key, blob, name, mime_type, size, expires,
          count_from = 'first-byte' OR attempts - downloads - live >= ${maxBroken} AS counts_first, ${ends} AS ends, ${latest} AS latest
      )
      INSERT INTO leases (id, key, blob, name, mime_type, size, expires, consumed, handed, flowing, generation, counts_first,
        until, ends, latest)
      SELECT :lease::text, key, blob, name, mime_type, size, expires, FALSE, FALSE, TRUE, 1, counts_first,
        least(:now + ${hold}, ends), ends, latest
      FROM taken RETURNING *`),
    held: prepare<"key" | "lease">(`
      SELECT consumed, flowing, until - :now AS left FROM leases
      WHERE id = :lease AND key = :key AND until > :now AND ${IN_TIME} AND ${CURRENT}`),
    has: prepare<"lease">("SELECT 1 FROM leases WHERE id = :lease"),
    // Makes earlier commits that did not wait for the disk durable too.
    makeDurable: prepare<"lease">("UPDATE leases SET counts_first = TRUE WHERE id = :lease RETURNING id"),
    settleOf: relaxed<"key">(settleWhere("key = :key")),
    settleAll: relaxed(settleWhere("TRUE")),
    underWay: prepare<"key">(`
      SELECT min(until - :now) FILTER (WHERE until > :now) AS left, bool_and(handed) AS handed,
        bool_or(until <= :now OR max_downloads IS NULL OR downloads + live < max_downloads) AS maybe
      FROM files LEFT JOIN leases ON leases.key = files.key AND leases.blob = files.blob AND NOT consumed
      WHERE files.key = :key AND (files.expires IS NULL OR files.expires > :now)`),
    resume: prepare<"key" | "lease">(`
      UPDATE leases SET generation = generation + 1, flowing = NOT consumed,
        until = CASE WHEN consumed THEN until ELSE least(:now + ${hold}, ends) END
      WHERE id = :lease AND key = :key AND (consumed OR NOT handed) AND until > :now AND ${IN_TIME} AND ${CURRENT}
      RETURNING *`),
    countHanded: prepare<"lease" | "key">(
      countWhere(`key = :key AND handed AND NOT consumed AND until > :now AND ${IN_TIME}`, grace)
    ),
    handOver: prepare<"lease" | "generation">(`
      UPDATE leases SET handed = TRUE
      WHERE id = :lease AND generation = :generation AND flowing AND NOT consumed AND until > :now
      RETURNING id`),
    commit: relaxed<"lease">(countWhere("NOT consumed", grace)),
    release: relaxed<"lease" | "generation" | "sent">(`
      UPDATE leases SET flowing = FALSE, handed = handed AND consumed, ends = ${credited(released)},
        until = CASE WHEN consumed THEN ${keptCounted(released)} ELSE least(${credited(released)},
          :now + CASE WHEN counts_first OR size > ${Machine.RETURNED_AT_ONCE_BYTES} THEN ${grace} ELSE 0 END) END
      WHERE id = :lease AND generation = :generation AND (flowing OR consumed) AND until > :now`),
    abandon: prepare<"lease" | "generation">(`
      WITH unclaimed AS (
        DELETE FROM leases
        WHERE id = :lease AND generation = :generation AND generation = 1 AND flowing AND NOT handed AND NOT consumed
          AND until > :now
        RETURNING key, blob
      ), given_back AS (
        UPDATE files SET live = live - 1, attempts = attempts - 1
        FROM unclaimed WHERE files.key = unclaimed.key AND files.blob = unclaimed.blob
      )
      SELECT 1 FROM unclaimed`),
    prolong: relaxed<"transfers">(`
      UPDATE leases SET ends = ${credited(prolonged)},
        until = CASE WHEN consumed THEN ${keptCounted(prolonged)} ELSE least(:now + ${hold}, ${credited(prolonged)}) END
      FROM jsonb_to_recordset(:transfers::jsonb) AS mine (id TEXT, generation BIGINT, sent BIGINT)
      WHERE leases.id = mine.id AND leases.generation = mine.generation AND (flowing OR consumed)
        AND until > :now`),
    detach: prepare<"key" | "blob">("UPDATE leases SET key = '' WHERE key = :key AND blob <> :blob"),
    drop: prepare<"key">("DELETE FROM leases WHERE key = :key"),
    expire: prepare<"key" | "expires">("UPDATE leases SET expires = :expires::bigint WHERE key = :key"),
    endCounted: relaxed("DELETE FROM leases WHERE consumed AND until <= :now")
  }
}

export const make = (
  prepared: Prepared,
  terms: Terms,
  maxBroken: number,
  /** Removes a file if it is used up. */
  buryUsedUp: (key: string) => Effect.Effect<unknown, CatalogError>
) => {
  const sql = statements(prepared, terms, maxBroken)

  const underWay = (key: string, waits = HANDED_WAITS): Effect.Effect<UnderWay, CatalogError> =>
    Effect.flatMap(sql.underWay({ key }), ([row]) => {
      const { handed, left, maybe } = row!
      const unavailable: Unavailable = left === null
        ? { _tag: "Gone" }
        : { _tag: "InProgress", retryAfter: Number(left) }
      // A receiver that has the last byte may ask again at once, and must get a 404: its server is just about to record it.
      return handed === true && maybe !== true && waits > 0
        ? Effect.delay(Effect.suspend(() => underWay(key, waits - 1)), HANDED_WAIT)
        : Effect.succeed({ unavailable, maybe: maybe === true })
    })

  const claimOne = Effect.fnUntraced(function*(key: string, id: string) {
    const [row] = yield* sql.claim({ key, lease: id })
    if (row === undefined) return undefined
    if (row["counts_first"] === true) yield* sql.makeDurable({ lease: id })
    return toLease(row)
  })

  const settleOf = Effect.fnUntraced(function*(key: string) {
    const files = yield* sql.settleOf({ key })
    if (files.some(({ done }) => Number(done) > 0)) yield* buryUsedUp(key)
  })

  return {
    /** The lease of a file as its holder sees it, if it can be resumed. */
    held: (key: string, id: string) =>
      Effect.map(sql.held({ key, lease: id }), ([row]): LeaseState | undefined => {
        if (row === undefined) return undefined
        const phase = row["consumed"] === true ? "counted" : row["flowing"] === true ? "flowing" : "broken"
        return { phase, millisLeft: phase === "flowing" ? null : Number(row["left"]) }
      }),

    has: (id: string) => Effect.map(sql.has({ lease: id }), (rows) => rows.length > 0),

    underWay,
    settleOf,

    claim: Effect.fnUntraced(function*(key: string, id: string): Effect.fn.Return<Claim, CatalogError> {
      for (let tries = CLAIMS;; tries--) {
        const lease = yield* claimOne(key, id)
        if (lease !== undefined) return { _tag: "Claimed", lease }
        const { maybe, unavailable } = yield* underWay(key)
        if (!maybe || tries === 0) return unavailable
        // Ended leases only matter if no download is left.
        yield* settleOf(key)
      }
    }),

    settleAll: Effect.andThen(sql.endCounted({}), sql.settleAll({})),

    resume: Effect.fnUntraced(function*(key: string, id: string) {
      const [row] = yield* sql.resume({ key, lease: id })
      if (row !== undefined) return toLease(row)
      // The last byte may have been sent, so the download counts whatever becomes of this transfer.
      const [counted] = yield* sql.countHanded({ key, lease: id })
      if (counted !== undefined) yield* buryUsedUp(key)
      const [again] = yield* sql.resume({ key, lease: id })
      return again === undefined ? undefined : toLease(again)
    }),

    /** Whether the last byte may be sent. */
    handOver: ({ generation, id }: Lease) =>
      Effect.map(sql.handOver({ lease: id, generation }), (rows) => rows.length > 0),

    commit: Effect.fnUntraced(function*(lease: Lease) {
      const [counted] = yield* sql.commit({ lease: lease.id })
      if (counted !== undefined) yield* buryUsedUp(counted["key"] as string)
    }),

    release: ({ generation, id }: Lease, sent: number) => sql.release({ lease: id, generation, sent }),

    abandon: Effect.fnUntraced(function*({ generation, id }: Pick<Lease, "id" | "generation">) {
      const unclaimed = yield* sql.abandon({ lease: id, generation })
      if (unclaimed.length === 0) yield* sql.release({ lease: id, generation, sent: 0 })
    }),

    prolong: (transfers: ReadonlyArray<Progress>) =>
      transfers.length === 0 ? Effect.void : Effect.asVoid(sql.prolong({
        transfers: JSON.stringify(
          transfers.map(({ lease: { generation, id }, sent }) => ({ id, generation, sent }))
        )
      })),

    /**
     * The file has other content. Receivers of the old one get the rest of it, but it counts for nothing, and cannot be
     * resumed. Leases of the new content are left alone, so that this can be repeated.
     */
    detach: (key: string, blob: string) => sql.detach({ key, blob }),

    /** The file was deleted: nobody gets its last byte. */
    drop: (key: string) => sql.drop({ key }),

    expire: (key: string, expires: number | null) => sql.expire({ key, expires })
  }
}

export type PgLeases = ReturnType<typeof make>
