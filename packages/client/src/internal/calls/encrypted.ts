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
import type { Secrets } from "../encryption/header.ts"
import { loadDecrypt, loadEncrypt, loadHeader } from "../encryption/load.ts"
import * as SecretsOf from "../encryption/secrets.ts"
import { checkBody, type Client, invalid } from "./shared.ts"

interface Prepared<B> {
  /** The content to send. */
  readonly body: B
  /** Adds the secret of an encrypted file to its link. */
  readonly linked: (file: FileDetails) => FileDetails
}

/** Checks a body, and encrypts it if the options ask for that. */
export const prepare = /* @__PURE__ */ Effect.fnUntraced(function*<B extends FileBody | OneShotBody>(
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

/**
 * Loads all code that decrypts with these secrets. It is called before the request, since a page whose host was updated may
 * find it gone, and the host may have counted the download by then.
 */
export const loadFor = /* @__PURE__ */ Effect.fnUntraced(function*({ platform }: Client, secrets: Secrets) {
  yield* loadDecrypt
  yield* platform.cipher
  const { prepare } = yield* loadHeader
  yield* Effect.promise(() => prepare(secrets))
  // Little work, which loads scrypt. (`Effect.ignore` would bring Effect's logger into browser bundles.)
  if (secrets.passphrase !== undefined) yield* Effect.exit(platform.scrypt("", new Uint8Array(16), 10))
})

/** Decrypts a download. Reads the header first, so that a wrong key shows at once. */
export const opened = /* @__PURE__ */ Effect.fnUntraced(function*(
  client: Client,
  download: Download,
  link: FileKey.FileLink,
  secrets: Secrets
): Effect.fn.Return<Download, FileIoError.FileIoError, Scope.Scope> {
  const Decrypt = yield* loadDecrypt
  // Without a length, the end of a file looks like a connection that broke.
  const stageOf = ({ isAtEnd }: Fault) => isAtEnd && download.size !== undefined ? "received" : "begun"
  const fail = (error: FileIoError.FileIoError | Fault) =>
    error instanceof Fault ? Decrypt.toError(error, stageOf(error)) : error
  const { overhead, payload } = yield* Decrypt.open(download.open("reused"), secrets).pipe(
    Effect.provideService(CurrentPlatform, client.platform),
    Effect.mapError(fail)
  )
  const name = Decrypt.nameOf(link, download.name)
  const { sha256 } = download
  const open = (buffers: Buffers) => {
    const plain = Stream.mapError(payload(buffers), fail)
    return sha256 === undefined ? plain : Decrypt.checkDigest(plain, client.platform.sha256(), sha256)
  }
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
