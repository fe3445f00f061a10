/**
 * The error of a client that cannot be made: an option is invalid. Calls fail with `FileIoError`, layers with this.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * An option of a client is invalid. Nothing was sent, and the message contains no key and no password.
 *
 * **Example** (A wrong option)
 *
 * ```ts
 * import { InvalidOption } from "@effect-fileio/core"
 *
 * const error = new InvalidOption.InvalidOption({ option: "connections", problem: "allowed: a whole number from 1" })
 * console.log(error.message) // invalid connections: allowed: a whole number from 1
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>()("InvalidOption", {
  /** The option, or the variable from which it was read. */
  option: Schema.String,
  /** What is wrong with its value, and what is allowed. */
  problem: Schema.String
}) {
  override get message(): string {
    return `invalid ${this.option}: ${this.problem}`
  }
}

/**
 * Whether a value is an `InvalidOption`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isInvalidOption: (u: unknown) => u is InvalidOption = /* @__PURE__ */ Schema.is(
  InvalidOption
)
