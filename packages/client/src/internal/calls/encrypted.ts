/** Encrypts uploads and decrypts downloads. `upload`, `change` and `download` call it. */
import { FileDetails } from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as Mime from "effect/http/Mime"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DecryptionOptions, Encryption } from "../../Encryption.ts"
import type { FileBody, OneShotBody } from "../../FileBody.ts"
import type { Download } from "../../FileIoModels.ts"
import { CurrentPlatform } from "../../Platform.ts"
import type { Buffers } from "../../Transport.ts"
import { Fault } from "../encryption/fault.ts"
import type { Secrets } from "../encryption/library.ts"
import * as SecretsOf from "../encryption/secrets.ts"
import { toError } from "../request/retry.ts"
import { wrongDigest } from "../shared/failure.ts"
import { checkBody, type Client, invalid } from "./shared.ts"

// Loaded when a file is encrypted, so that a page that encrypts none does not load it.
const loadEncrypt = Effect.promise(() => import("../encryption/encrypt.ts"))
const loadDecrypt = Effect.promise(() => import("../encryption/decrypt.ts"))

interface Prepared<B> {
  /** The content to send. */
  readonly body: B
  /** Adds the secret of an encrypted file to its link. */
  readonly linked: (file: FileDetails) => FileDetails
}

/** Checks a body, and encrypts it if the options ask for that. */
export const prepare = Effect.fnUntraced(function*<B extends FileBody | OneShotBody>(
  client: Client,
  operation: "upload" | "update" | "replace",
  given: B,
  encryption: Encryption | undefined
): Effect.fn.Return<Prepared<B>, FileIoError.FileIoError> {
  yield* checkBody(operation, given)
  if (encryption === undefined) return { body: given, linked: (file) => file }
  const { body, linkOf } = yield* Effect.mapError(
    Effect.flatMap(
      loadEncrypt,
      ({ encrypt }) => Effect.provideService(encrypt(given, encryption), CurrentPlatform, client.platform)
    ),
    ({ field, problem }) => invalid(operation, field, problem)
  )
  yield* checkBody(operation, body)
  return { body, linked: (file) => new FileDetails({ ...file, link: linkOf(file.link) }) }
})

/** The identities that decrypt a download; `undefined` without decryption. Fails before the request. */
export const secretsFor = (
  link: FileKey.FileLink,
  options: DecryptionOptions | undefined
): Effect.Effect<Secrets | undefined, FileIoError.FileIoError> =>
  Effect.mapError(
    Effect.fromResult(SecretsOf.forDownload(link, options)),
    ({ field, problem }) => invalid("download", field, problem)
  )

/** Fails if the plaintext does not have the expected digest. */
const checked = (
  payload: Stream.Stream<Uint8Array, FileIoError.FileIoError>,
  client: Client,
  expected: string | undefined
): Stream.Stream<Uint8Array, FileIoError.FileIoError> => {
  if (expected === undefined) return payload
  const hasher = client.platform.sha256()
  let bytesDone = 0
  const compare = Effect.suspend(() =>
    hasher.digest() === expected ? Effect.void : Effect.fail(toError("download", wrongDigest({ bytesDone })))
  )
  return Stream.map(payload, (chunk) => {
    hasher.update(chunk)
    bytesDone += chunk.length
    return chunk
  }).pipe(Stream.concat(Stream.drain(Stream.fromEffect(compare))))
}

/** Decrypts a download. Reads the header first, so that a wrong key shows at once. */
export const opened = Effect.fnUntraced(function*(
  client: Client,
  download: Download,
  link: FileKey.FileLink,
  secrets: Secrets
): Effect.fn.Return<Download, FileIoError.FileIoError, Scope.Scope> {
  const Decrypt = yield* loadDecrypt
  const fail = (error: FileIoError.FileIoError | Fault) =>
    error instanceof Fault ? Decrypt.toError(error, error.isAtEnd ? "received" : "begun") : error
  const { overhead, payload } = yield* Decrypt.open(download.open("reused"), secrets).pipe(
    Effect.provideService(CurrentPlatform, client.platform),
    Effect.mapError(fail)
  )
  const name = Decrypt.nameOf(link, download.name)
  const open = (buffers: Buffers) => checked(Stream.mapError(payload(buffers), fail), client, download.sha256)
  return {
    ...download,
    name,
    contentType: Option.getOrUndefined(Mime.getType(name)),
    size: Decrypt.plainSize(download.size, overhead),
    offset: 0,
    validator: undefined,
    stream: open("owned"),
    open
  }
})
