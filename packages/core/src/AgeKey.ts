/**
 * Keys of the [age](https://age-encryption.org/v1) format, as text: recipients, which encrypt, and identities, which decrypt.
 * Checks their form and their checksum, so that a truncated or mistyped key is found before a request.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Bech32 from "./internal/bech32.ts"

/** The prefixes of recipients, and the bytes that each holds: X25519, post-quantum, and those of hardware keys. */
const RECIPIENTS: ReadonlyArray<readonly [prefix: string, bytes: number]> = [
  ["age", 32],
  ["age1pq", 1216],
  ["age1tag", 33],
  ["age1tagpq", 1249]
]

const IDENTITIES: ReadonlyArray<readonly [prefix: string, bytes: number]> = [
  ["age-secret-key-", 32],
  ["age-secret-key-pq-", 32]
]

const isOne = (kinds: typeof RECIPIENTS, text: string): boolean =>
  kinds.some(([prefix, bytes]) => Bech32.decode(prefix, text)?.length === bytes)

/**
 * Parses a public key, such as `age1…` or the post-quantum `age1pq1…`. Fails with what is wrong.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseRecipient = (input: string): Result.Result<string, string> => {
  const text = input.trim()
  return isOne(RECIPIENTS, text)
    ? Result.succeed(text.toLowerCase())
    : /^age-secret-key-/i.test(text)
    ? Result.fail("it is a secret key; give the public key that belongs to it (age1…)")
    : /^age1/i.test(text)
    ? Result.fail("it is cut or mistyped: its checksum is wrong; copy the whole public key")
    : /^(?:ssh-|github:)/i.test(text)
    ? Result.fail("it is an SSH key, which is not supported; encrypt the file with the age program, and upload that")
    : Result.fail("allowed: a public key of age, such as age1… or age1pq1…")
}

/**
 * Whether a recipient is safe from a quantum computer. The two kinds cannot be combined: breaking the weaker one decrypts the
 * file.
 *
 * @category guards
 * @since 0.1.0
 */
export const isPostQuantum = (recipient: string): boolean => /^age1(?:tag)?pq1/.test(recipient)

/**
 * Parses a secret key, such as `AGE-SECRET-KEY-1…`. Fails with what is wrong, without the key.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseIdentity = (input: string): Result.Result<Redacted.Redacted, string> => {
  const text = input.trim()
  return isOne(IDENTITIES, text)
    ? Result.succeed(Redacted.make(text.toUpperCase(), { label: "age identity" }))
    : /^age-secret-key-/i.test(text)
    ? Result.fail("it is cut or mistyped: its checksum is wrong; copy the whole secret key")
    : /^age1/i.test(text)
    ? Result.fail("it is a public key, which cannot decrypt; give the secret key (AGE-SECRET-KEY-1…)")
    : /^age-plugin-/i.test(text)
    ? Result.fail("it is a key of a plugin, which is not supported; decrypt the file with the age program")
    : Result.fail("allowed: a secret key of age, such as AGE-SECRET-KEY-1…")
}

/**
 * The 32 bytes of a key of X25519, the usual kind: of a public key (`age1…`) or a secret one (`AGE-SECRET-KEY-1…`). `undefined`
 * for the other kinds.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toX25519 = (key: string): Uint8Array | undefined =>
  Bech32.decode("age", key) ?? Bech32.decode("age-secret-key-", key)

/**
 * The public key (`age1…`) of 32 bytes of X25519.
 *
 * @category conversions
 * @since 0.1.0
 */
export const recipientOf = (bytes: Uint8Array): string => Bech32.encode("age", bytes)

/**
 * The secret key (`AGE-SECRET-KEY-1…`) of 32 bytes of X25519.
 *
 * @category conversions
 * @since 0.1.0
 */
export const identityOf = (bytes: Uint8Array): Redacted.Redacted =>
  Redacted.make(Bech32.encode("age-secret-key-", bytes).toUpperCase(), { label: "age identity" })

/**
 * Parses a file of identities as `age-keygen` writes it: one secret key per line, with comments (`#`) and empty lines between
 * them. Fails with the number of the invalid line, without its content.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseIdentityFile = (content: string): Result.Result<ReadonlyArray<Redacted.Redacted>, string> => {
  const identities: Array<Redacted.Redacted> = []
  for (const [index, line] of content.split(/\r?\n/).entries()) {
    const text = line.trim()
    if (text === "" || text.startsWith("#")) continue
    if (/^-----BEGIN (?:OPENSSH|RSA|DSA|EC)? ?PRIVATE KEY/.test(text)) {
      return Result.fail("it is an SSH key, which is not supported; decrypt the file with the age program")
    }
    if (text.startsWith("age-encryption.org/") || text.startsWith("-----BEGIN AGE")) {
      return Result.fail("it is encrypted itself; decrypt it first with the age program")
    }
    const identity = parseIdentity(text)
    if (Result.isFailure(identity)) return Result.fail(`line ${index + 1}: ${identity.failure}`)
    identities.push(identity.success)
  }
  return identities.length === 0
    ? Result.fail("it holds no secret key (AGE-SECRET-KEY-1…)")
    : Result.succeed(identities)
}
