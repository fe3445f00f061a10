/**
 * End-to-end encryption in the [age](https://age-encryption.org/v1) format: a file that its host cannot read.
 *
 * An upload encrypts with the option `encryption`; a download decrypts with its link or the options `identities` and
 * `passphrase`. This module has their types, and functions for bodies and streams outside these calls.
 *
 * @since 0.1.0
 */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { FileBody, OneShotBody } from "./FileBody.ts"
import { checkBody, invalid } from "./internal/calls/shared.ts"
import { Fault } from "./internal/encryption/fault.ts"
import { loadDecrypt, loadEncrypt, loadNewHeader } from "./internal/encryption/load.ts"
import * as Secrets from "./internal/encryption/secrets.ts"

/**
 * Where the name of an encrypted file is stored: in its link, so that the host does not learn it, or on the host with `.age`
 * appended.
 *
 * @category models
 * @since 0.1.0
 */
export interface NameOption {
  /** @default "link" */
  readonly name?: "link" | "host" | undefined
}

/**
 * Who can decrypt a file. `"link"`: anybody with its link, which contains a new secret for this file. `recipients`: the owners
 * of the secret keys of these public keys (`age1…`; post-quantum ones too, but not both kinds together). `passphrase`: anybody
 * who knows it; it should have at least four or five random words.
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
 * How to decrypt a file whose link does not contain the secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface DecryptionOptions {
  /** Secret keys of age (`AGE-SECRET-KEY-1…`); one of them must fit. */
  readonly identities?: ReadonlyArray<Redacted.Redacted> | undefined
  /** Passphrase of the file. */
  readonly passphrase?: Redacted.Redacted | undefined
  /** `false` returns the encrypted bytes. @default true */
  readonly decrypt?: boolean | undefined
}

/**
 * A body that is encrypted when it is sent, and the link of its upload.
 *
 * @category models
 * @since 0.1.0
 */
export interface EncryptedBody<B extends FileBody | OneShotBody> {
  /**
   * Opens the encrypted bytes. A body that can be opened again gives the same bytes each time; if its source has changed by
   * then, it fails with `SourceFailed`, since two contents under one key would reveal both.
   */
  readonly body: B
  /** Adds the secret to the host's link, in the fragment. */
  readonly linkOf: (link: string) => string
}

/**
 * Encrypts a body for one upload. The option `encryption` of the calls does this; call it yourself if you need the link even
 * when the host's response is lost. The cipher is that of the `Platform` in the context: on Node, provide `NodePlatform.layer`,
 * whose cipher is several times faster than the one in JavaScript.
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
    Effect.mapError(
      Effect.flatMap(loadEncrypt, ({ encrypt }) => encrypt(body, encryption)),
      ({ field, problem }) => invalid("upload", field, problem)
    )
  )

/**
 * Decrypts the bytes of an age file, armored or not, such as one that was kept when its download could not be decrypted.
 * Returns only authentic bytes, and fails with `DecryptionFailed` if something is missing or was changed. The cipher is that of
 * the `Platform` in the context, as in `encrypt`.
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
    const { open, toError } = yield* loadDecrypt
    const explain = <Other>(error: Other | Fault) => error instanceof Fault ? toError(error, "received") : error
    const { payload } = yield* Effect.mapError(open(encrypted, secrets), explain)
    return Stream.mapError(payload("owned"), explain)
  }))

/**
 * Makes a new secret key of age (`AGE-SECRET-KEY-1…`), and its public key.
 *
 * @category keys
 * @since 0.1.0
 */
export const generateIdentity: Effect.Effect<
  { readonly identity: Redacted.Redacted; readonly recipient: string }
> = /* @__PURE__ */ Effect.flatMap(loadNewHeader, ({ generateIdentity }) => Effect.promise(generateIdentity))
