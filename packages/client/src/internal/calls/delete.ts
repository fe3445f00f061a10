/** The call that deletes a file: with the account's key, or with the deletion token of its upload. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { DeleteOptions } from "../../FileIoModels.ts"
import * as Span from "../observe/span.ts"
import * as Quote from "../request/quote.ts"
import * as Response from "../request/response.ts"
import { Failure } from "../shared/failure.ts"
import { ask } from "./json.ts"
import { callOf, type Client, invalid, parseLink, requireKey } from "./shared.ts"

const readNothing = Response.json(Schema.Unknown, "accept")

/** The token as a header takes it. Files and secret stores end it with a line break. */
const tokenOf = (
  { token }: DeleteOptions
): Effect.Effect<string | undefined, FileIoError.FileIoError> => {
  if (token === undefined || token === null) return Effect.succeed(undefined)
  const text: unknown = Redacted.isRedacted(token) ? Redacted.value(token) : undefined
  const trimmed = typeof text === "string" ? text.trim() : ""
  return /^[\x21-\x7E]{1,4096}$/.test(trimmed)
    ? Effect.succeed(trimmed)
    : Effect.fail(invalid("delete", "token", "allowed: the deleteToken of an upload, which is Redacted"))
}

/** A failure of a call with a token: a wrong token looks like a missing file, and other hosts take none. */
const withToken = (failure: Failure): Failure => {
  const { reason } = failure
  return reason._tag === "FileNotFound"
    ? new Failure(failure.stage, new FileIoError.FileNotFound({ ...reason, hadToken: true }))
    : reason._tag === "Unauthorized"
    ? new Failure(failure.stage, new FileIoError.Unauthorized({ ...reason, hadToken: true }))
    : failure
}

export const make = (client: Client) =>
  Span.fn(
    "FileIo.delete",
    "delete",
    Effect.fnUntraced(function*(keyOrLink: string, options: DeleteOptions = {}) {
      const token = yield* tokenOf(options)
      if (token === undefined) yield* requireKey(client, "delete")
      const link = yield* parseLink("delete", keyOrLink)
      const call = callOf(client, "delete", link)
      const withoutToken = Quote.make(token === undefined ? [] : [token])
      yield* ask<unknown>(
        client,
        {
          call: { ...call, quote: (text, most) => call.quote(withoutToken(text, most), most) },
          method: "DELETE",
          path: `/${link.key}`,
          read: readNothing,
          ...(token === undefined ? {} : { headers: { "delete-token": token } })
        },
        (failure, before) =>
          // If a repeated deletion finds no file, the attempt before it deleted the file.
          failure.reason._tag === "FileNotFound" && before !== undefined && before.stage !== "limited" &&
            before.stage !== "unsent"
            ? Effect.void
            : Effect.fail(token === undefined ? failure : withToken(failure))
      )
    })
  )
