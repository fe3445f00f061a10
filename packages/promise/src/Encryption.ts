/**
 * End-to-end encryption in the [age](https://age-encryption.org/v1) format: files that their host cannot read. The calls take
 * it as options. Secrets are strings here, and are kept redacted.
 *
 * @since 0.1.0
 */
import * as ClientEncryption from "@effect-fileio/client/Encryption"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Input from "./internal/input.ts"
import { invalidError } from "./internal/run.ts"
import { toStream } from "./internal/toStream.ts"

/**
 * Who can open an encrypted file. `"link"`: anybody with its link, which contains a new secret for this file. `recipients`:
 * anybody with the secret key of one of these public keys of age (`age1…`). `passphrase`: anybody who knows it.
 *
 * @category models
 * @since 0.1.0
 */
export type Encryption =
  | "link"
  | (ClientEncryption.NameOption & { readonly link: true })
  | (ClientEncryption.NameOption & { readonly recipients: ReadonlyArray<string> })
  | (ClientEncryption.NameOption & { readonly passphrase: string })

/**
 * Options that encrypt an upload.
 *
 * @category models
 * @since 0.1.0
 */
export interface EncryptionOptions {
  /** Encrypts the file before it is sent; the `link` of the result opens it. @default not encrypted */
  readonly encryption?: Encryption | undefined
}

/**
 * Options that decrypt a download, if its link does not carry the secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface DecryptionOptions extends Pick<ClientEncryption.DecryptionOptions, "decrypt"> {
  /** Secret keys of age (`AGE-SECRET-KEY-1…`); one of them must fit. */
  readonly identities?: ReadonlyArray<string> | undefined
  /** Passphrase of the file. */
  readonly passphrase?: string | undefined
}

/**
 * Makes a new secret key of age (`AGE-SECRET-KEY-1…`), and the public key that belongs to it.
 *
 * @category keys
 * @since 0.1.0
 */
export const generateIdentity = async (): Promise<{ readonly identity: string; readonly recipient: string }> => {
  const { identity, recipient } = await Effect.runPromise(ClientEncryption.generateIdentity)
  return { identity: Redacted.value(identity), recipient }
}

/**
 * Decrypts the bytes of an age file, such as one that was kept because its download could not be decrypted. Gives only authentic
 * bytes, and throws `FileIoError` with `DecryptionFailed` if something is missing or was changed.
 *
 * @category decryption
 * @since 0.1.0
 */
export const decrypt = (encrypted: AsyncIterable<Uint8Array>, options: DecryptionOptions): AsyncIterable<Uint8Array> =>
  Stream.toAsyncIterable(Stream.suspend(() => {
    const stream = toStream(encrypted)
    return stream === undefined
      ? Stream.fail(invalidError("download", "encrypted", "allowed: a stream or an async iterable of bytes"))
      : ClientEncryption.decrypt(stream as Stream.Stream<Uint8Array, unknown>, Input.secrets(options ?? {}))
  }))
