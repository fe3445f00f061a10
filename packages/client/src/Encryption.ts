/**
 * End-to-end encryption in the [age](https://age-encryption.org/v1) format: a file that its host cannot read.
 *
 * Calls encrypt by the option `encryption` of an upload, and decrypt by the link of a download or its options `identities` and
 * `passphrase`. This module has their types, and the same by hand, for bodies and streams that go other ways.
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { FileBody, OneShotBody } from "./FileBody.ts"
import { checkBody, invalid } from "./internal/calls/shared.ts"
import * as Decrypt from "./internal/encryption/decrypt.ts"
import * as Encrypt from "./internal/encryption/encrypt.ts"
import { Fault } from "./internal/encryption/fault.ts"
import * as Secrets from "./internal/encryption/secrets.ts"

/**
 * Where the name of an encrypted file is kept: in its link, so that the host does not learn it, or at the host with `.age`
 * behind it.
 *
 * @category models
 * @since 0.1.0
 */
export interface NameOption {
  /** @default "link" */
  readonly name?: "link" | "host" | undefined
}

/**
 * Who can open an encrypted file. `"link"`: whoever has its link, which carries a new secret for this file. `recipients`: whoever
 * has the secret key of one of these public keys (`age1…`; post-quantum ones too, but not both kinds together). `passphrase`:
 * whoever knows it; it should have at least four or five random words.
 *
 * @category models
 * @since 0.1.0
 */
export type Encryption =
  | "link"
  | (NameOption & { readonly link: true })
  | (NameOption & { readonly recipients: ReadonlyArray<string> })
  | (NameOption & { readonly passphrase: Redacted.Redacted })

/**
 * How an encrypted file is opened, where its link does not carry the secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface DecryptionOptions {
  /** Secret keys of age (`AGE-SECRET-KEY-1…`), of which one may open the file. */
  readonly identities?: ReadonlyArray<Redacted.Redacted> | undefined
  /** Passphrase that may open the file. */
  readonly passphrase?: Redacted.Redacted | undefined
  /** `false` gives the bytes as the host has them, encrypted. @default true */
  readonly decrypt?: boolean | undefined
}

/**
 * A body that is encrypted when it is sent, and the link of what was uploaded.
 *
 * @category models
 * @since 0.1.0
 */
export interface EncryptedBody<B extends FileBody | OneShotBody> {
  /**
   * Gives the encrypted bytes. One that can be opened again gives the same bytes each time; if its source gives other ones by then,
   * it fails with `SourceFailed`, since two contents under one key would give both away.
   */
  readonly body: B
  /** Adds to the link that the host gave what opens the file, in the fragment. */
  readonly linkOf: (link: string) => string
}

/**
 * Encrypts a body for one upload. The option `encryption` of the calls does this; by hand it is of use where the link has to be
 * known although the answer of the host may be lost.
 *
 * @category encryption
 * @since 0.1.0
 */
export const encrypt = <B extends FileBody | OneShotBody>(
  body: B,
  encryption: Encryption
): Effect.Effect<EncryptedBody<B>, FileIoError.FileIoError> =>
  Effect.andThen(
    checkBody("upload", body),
    Effect.mapError(Encrypt.encrypt(body, encryption), ({ field, problem }) => invalid("upload", field, problem))
  )

/**
 * Decrypts the bytes of an age file, armored or not, such as one that was kept when its download could not be decrypted. Gives
 * only what is authentic, and fails with `DecryptionFailed` where something is missing or was changed.
 *
 * @category decryption
 * @since 0.1.0
 */
export const decrypt = <E, R>(
  encrypted: Stream.Stream<Uint8Array, E, R>,
  options: DecryptionOptions
): Stream.Stream<Uint8Array, E | FileIoError.FileIoError, R> =>
  Stream.unwrap(Effect.gen(function*() {
    const secrets = yield* Effect.mapError(
      Effect.fromResult(Secrets.read(options)),
      ({ field, problem }) => invalid("download", field, problem)
    )
    const { payload } = yield* Decrypt.open(encrypted, secrets)
    return payload("owned")
  })).pipe(Stream.mapError((error) => error instanceof Fault ? Decrypt.toError(error, "received") : error))

/**
 * Makes a new secret key of age (`AGE-SECRET-KEY-1…`), and the public key that belongs to it.
 *
 * @category keys
 * @since 0.1.0
 */
export const generateIdentity: Effect.Effect<
  { readonly identity: Redacted.Redacted; readonly recipient: string }
> = Effect.promise(async () => {
  const library = await import("./internal/encryption/library.ts")
  const identity = await library.generateIdentity()
  return {
    identity: Redacted.make(identity, { label: "age identity" }),
    recipient: await library.identityToRecipient(identity)
  }
})
