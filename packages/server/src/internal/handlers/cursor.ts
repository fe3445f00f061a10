/**
 * The text by which a client asks for the page behind one that it has: the order of the listing and the position of the last
 * file, encoded. It names files of the caller's account only, so nothing in it needs protection.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Position, SortField } from "../../FileListing.ts"
import * as Refusal from "../http/refusal.ts"

interface Order {
  readonly sort: SortField
  readonly descending: boolean
}

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
// PostgreSQL refuses NUL in a text.
const text = Schema.String.check(Schema.isPattern(/^[^\0]*$/))
const Texts = Schema.Tuple([Schema.Literals(["id", "key", "name", "mimeType"]), text, count, count, Schema.Boolean])
const Numbers = Schema.Tuple([
  Schema.Literals(["size", "downloads", "created", "modified"]),
  Schema.Int,
  count,
  count,
  Schema.Boolean
])
const Cursor = Schema.fromJsonString(Schema.Union([
  Texts,
  Numbers,
  Schema.Tuple([Schema.Literal("title"), Schema.NullOr(text), count, count, Schema.Boolean]),
  Schema.Tuple([Schema.Literals(["expires", "maxDownloads"]), Schema.NullOr(Schema.Int), count, count, Schema.Boolean]),
  Schema.Tuple([Schema.Literal("autoDelete"), Schema.Boolean, count, count, Schema.Boolean])
]))

const decodeJson = Schema.decodeUnknownEffect(Cursor)

export const encode = ({ descending, sort }: Order, { seq, shard, value }: Position): string =>
  Buffer.from(JSON.stringify([sort, value, seq, shard, descending])).toString("base64url")

/** Fails if it is not one of a listing in this order. */
export const decode = ({ descending, sort }: Order, cursor: string): Effect.Effect<Position, Refusal.Refusal> =>
  decodeJson(Buffer.from(cursor, "base64url").toString("utf8")).pipe(
    Effect.filterOrFail((decoded) => decoded[0] === sort && decoded[4] === descending, () => undefined),
    Effect.map(([, value, seq, shard]) => ({ value, seq, shard })),
    Effect.mapError(() => Refusal.invalid("after: give the `next` of an earlier page, with the same sort and search"))
  )
