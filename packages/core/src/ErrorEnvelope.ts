/**
 * The body of every error response.
 *
 * Source: live responses of 2019 and 2022; see `test/fixtures/error.*`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * `{ success: false, status, code, message, help, key }`, or the older `{ success: false, error, message }`. The HTTP
 * status decides the meaning, and the code, which may be any text, refines it.
 *
 * @category models
 * @since 0.1.0
 */
export class ErrorEnvelope extends Schema.Class<ErrorEnvelope>("@effect-fileio/core/ErrorEnvelope")({
  success: Schema.Literal(false),
  status: Schema.optionalKey(Schema.Finite),
  error: Schema.optionalKey(Schema.Union([Schema.Finite, Schema.String])),
  /** Such as `FILE_NOT_FOUND` or `TOO_MANY_REQUESTS`. */
  code: Schema.optionalKey(Schema.NullOr(Schema.String)),
  message: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** Address of a page that explains the code. */
  help: Schema.optionalKey(Schema.NullOr(Schema.String)),
  key: Schema.optionalKey(Schema.NullOr(Schema.String)),
  /** The limit of the plan that the request exceeded, and what it allows; only some hosts send it. */
  limit: Schema.optionalKey(Schema.NullOr(Schema.String)),
  asked: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  allowed: Schema.optionalKey(Schema.NullOr(Schema.Finite))
}) {}
