/**
 * Shared by all calls: the client with which they are made, and checks of the caller's input. `FileIo.make` makes one `Client`
 * per service.
 */
import { FileDetails } from "@effect-fileio/core/FileDetails"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as Result from "effect/Result"
import * as FileBody from "../../FileBody.ts"
import type { Platform } from "../../Platform.ts"
import type * as Transport from "../../Transport.ts"
import type { Limiter } from "../limit/limiter.ts"
import type { Response } from "../request/contentEncoding.ts"
import type { Credentials } from "../request/credentials.ts"
import type { Endpoint } from "../request/endpoint.ts"
import type * as Refusal from "../request/refusal.ts"
import { toError } from "../request/retry.ts"
import type { Timeouts } from "../request/timeouts.ts"
import { Failure } from "../shared/failure.ts"

/** The client of one service's calls. */
export interface Client {
  readonly transport: Transport.Service
  readonly endpoint: Endpoint
  readonly credentials: Credentials
  readonly timeouts: Timeouts
  readonly limiter: Limiter
  /** That of the layer: calls work alike wherever they are made. */
  readonly platform: Platform
  /** Whether the host supports resumable uploads, as far as known, and whether to ask it. `resumableSupport` learns it. */
  readonly support: { isKnown: boolean | undefined; readonly mayAsk: boolean }
  /** The smallest body that is uploaded so, in bytes. */
  readonly resumableFrom: number
}

/** An invalid argument or option, refused before any request. */
export const invalid = (operation: FileIoError.Operation, field: string, problem: string): FileIoError.FileIoError =>
  toError(operation, new Failure("local", new FileIoError.InvalidRequest({ field, problem })))

export const isCount = (value: unknown, from: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= from

/** The part of a call that its response's reader needs. */
export const callOf = (client: Client, operation: FileIoError.Operation, link?: FileKey.FileLink): Refusal.Call => ({
  operation,
  key: link?.key,
  host: client.endpoint.host,
  linkHost: link?.host,
  hasKey: client.credentials.hasKey,
  quote: client.credentials.quote
})

export const parseLink = (
  operation: FileIoError.Operation,
  keyOrLink: string
): Effect.Effect<FileKey.FileLink, FileIoError.FileIoError> => {
  const link = typeof keyOrLink === "string"
    ? FileKey.parse(keyOrLink)
    : Result.fail("allowed: a key or a link, as text")
  return Result.isSuccess(link) ? Effect.succeed(link.success) : Effect.fail(invalid(operation, "key", link.failure))
}

/** A file whose content is that of the given link: what the link has for it, the host's link would lack. */
export const relinked = (file: FileDetails, { name, opener, sha256 }: FileKey.FileLink): FileDetails => {
  if (opener === undefined && sha256 === undefined) return file
  const secret = opener?._tag === "Secret" ? opener.identity : opener?._tag === "Identity" ? "identity" : "passphrase"
  const link = opener === undefined ? `${file.link}#` : `${FileKey.encryptedLink(file.link, secret, name)}&`
  return new FileDetails({ ...file, link: sha256 === undefined ? link.slice(0, -1) : `${link}sha256=${sha256}` })
}

export const requireKey = (
  client: Client,
  operation: FileIoError.Operation
): Effect.Effect<void, FileIoError.FileIoError> =>
  client.credentials.hasKey
    ? Effect.void
    : Effect.fail(toError(operation, new Failure("local", new FileIoError.Unauthorized({}))))

export interface JsonCall<A> {
  readonly call: Refusal.Call
  readonly method: HttpMethod.HttpMethod
  readonly path: string
  /** Headers of this call alone. */
  readonly headers?: Readonly<Record<string, string>>
  readonly read: (call: Refusal.Call, response: Response) => Effect.Effect<A, Failure>
}

export const parseSettings = (
  operation: FileIoError.Operation,
  input: FileSettings.Input,
  now: number
): Effect.Effect<FileSettings.FileSettings, FileIoError.FileIoError> => {
  const settings = FileSettings.parse(input)
  if (Result.isFailure(settings)) {
    return Effect.fail(invalid(operation, settings.failure.field, settings.failure.problem))
  }
  const { expires } = settings.success
  return expires?._tag === "At" && DateTime.toEpochMillis(expires.time) <= now
    ? Effect.fail(invalid(operation, "expires", "the time has passed; allowed: a time in the future"))
    : Effect.succeed(settings.success)
}

export const checkBody = (
  operation: FileIoError.Operation,
  body: FileBody.FileBody | FileBody.OneShotBody
): Effect.Effect<void, FileIoError.FileIoError> => {
  const checked = FileBody.validate(body)
  return Result.isSuccess(checked)
    ? Effect.void
    : Effect.fail(invalid(operation, checked.failure.field, checked.failure.problem))
}
