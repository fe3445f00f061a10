/** What a database in PostgreSQL records of itself: its id, and the set of shards that it belongs to. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { CatalogError } from "../../Catalog.ts"
import type { Postgres } from "./postgres.ts"

/** The databases of a catalog that is divided into shards. */
export const ShardSet = Schema.Struct({
  /** Their ids, in order. */
  ids: Schema.Array(Schema.String),
  /** How many there were at first, and after each extension: where an account's files can be follows from it. */
  sizes: Schema.Array(Schema.Int),
  /** The first ones that have recorded their ids; the others may not have yet. */
  confirmed: Schema.Int
})
export type ShardSet = typeof ShardSet.Type

export interface Recorded {
  readonly id: string
  readonly set: ShardSet
}

export interface Identity {
  /** Absent if no server has used it yet. */
  readonly recorded: Effect.Effect<Recorded | undefined, CatalogError>
  /** Whether it never had a file. */
  readonly isEmpty: Effect.Effect<boolean, CatalogError>
  /** Fails if it has another id. */
  readonly write: (recorded: Recorded) => Effect.Effect<void, CatalogError>
  /** Runs alone: servers that start at the same time take turns. */
  readonly exclusive: <A>(effect: Effect.Effect<A, CatalogError>) => Effect.Effect<A, CatalogError>
}

const LOCK = 4_051_907_435
const LOCK_DEADLINE = Duration.minutes(2)

const fromText = Schema.decodeUnknownEffect(Schema.fromJsonString(ShardSet))
const toText = Schema.encodeSync(Schema.fromJsonString(ShardSet))

export const make = ({ query, transaction }: Postgres): Identity => ({
  recorded: Effect.flatMap(query("repeatable", "SELECT id, members FROM shard", []), ([row]) =>
    row === undefined
      ? Effect.undefined
      : Effect.mapBoth(fromText(row["members"]), {
        onSuccess: (set) => ({ id: row["id"] as string, set }),
        onFailure: (cause) => new CatalogError({ cause })
      })),

  isEmpty: Effect.map(
    query(
      "repeatable",
      `SELECT NOT EXISTS (SELECT 1 FROM files) AND NOT EXISTS (SELECT 1 FROM tombstones)
        AND NOT EXISTS (SELECT 1 FROM uploads) AS empty`,
      []
    ),
    ([row]) => row!["empty"] === true
  ),

  write: ({ id, set }) =>
    Effect.flatMap(
      query(
        "repeatable",
        `INSERT INTO shard (id, members) VALUES ($1, $2)
          ON CONFLICT (single) DO UPDATE SET members = EXCLUDED.members WHERE shard.id = EXCLUDED.id RETURNING id`,
        [id, toText(set)]
      ),
      (rows) => {
        if (rows.length > 0) return Effect.void
        const problem = "a database has another id than a moment ago; is it in the list of addresses twice?"
        return Effect.fail(new CatalogError({ cause: new Error(problem), problem }))
      }
    ),

  exclusive: (effect) =>
    transaction(
      Effect.andThen(query("change", "SELECT pg_advisory_xact_lock($1)", [BigInt(LOCK)]), effect),
      LOCK_DEADLINE
    )
})
