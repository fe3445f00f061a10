/** The deletion token of an upload, as `delete` and `status` take it and send it. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { TokenOptions } from "../../FileIoModels.ts"
import * as Quote from "../request/quote.ts"
import type * as Refusal from "../request/refusal.ts"
import { Failure } from "../shared/failure.ts"
import { invalid } from "./shared.ts"

/** The token as a header takes it, if there is one. Files and secret stores end it with a line break. */
export const of = (
  operation: FileIoError.Operation,
  { token }: TokenOptions
): Effect.Effect<string | undefined, FileIoError.FileIoError> => {
  if (token === undefined || token === null) return Effect.succeed(undefined)
  const text: unknown = Redacted.isRedacted(token) ? Redacted.value(token) : undefined
  const trimmed = typeof text === "string" ? text.trim() : ""
  return /^[\x21-\x7E]{1,4096}$/.test(trimmed)
    ? Effect.succeed(trimmed)
    : Effect.fail(invalid(operation, "token", "allowed: the deleteToken of an upload, which is Redacted"))
}

/** The part of a call that a token changes: its header, and that no error quotes it. */
export const parts = (call: Refusal.Call, token: string | undefined) => {
  if (token === undefined) return { call }
  const withoutToken = Quote.make([token])
  return {
    call: { ...call, quote: (text: string, most?: number) => call.quote(withoutToken(text, most), most) },
    headers: { "delete-token": token }
  }
}

/** A failure of a call with a token: a wrong token looks like a missing file, and other hosts take none. */
export const explained = (failure: Failure, token: string | undefined): Failure => {
  const { reason } = failure
  return token === undefined
    ? failure
    : reason._tag === "FileNotFound"
    ? new Failure(failure.stage, new FileIoError.FileNotFound({ ...reason, hadToken: true }))
    : reason._tag === "Unauthorized"
    ? new Failure(failure.stage, new FileIoError.Unauthorized({ ...reason, hadToken: true }))
    : failure
}
