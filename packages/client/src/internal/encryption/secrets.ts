/** The secrets that decrypt a download: from its link, and from the options of the call. Checked before the request. */
import * as AgeKey from "@effect-fileio/core/AgeKey"
import type { FileLink } from "@effect-fileio/core/FileKey"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { DecryptionOptions } from "../../Encryption.ts"
import type { Problem } from "./encrypt.ts"
import type { Secrets } from "./header.ts"

const fail = (field: string, problem: string) => Result.fail<Problem>({ field, problem })

const secretOf = (given: unknown): string | undefined => {
  const value: unknown = Redacted.isRedacted(given) ? Redacted.value(given) : undefined
  return typeof value === "string" ? value : undefined
}

/** Reads the given secrets; at least one is required. */
export const read = ({ identities, passphrase }: DecryptionOptions): Result.Result<Secrets, Problem> => {
  const secrets: Array<string> = []
  if (identities !== undefined && !Array.isArray(identities)) {
    return fail("identities", "allowed: a list of secret keys of age, each as Redacted")
  }
  for (const [index, one] of (identities ?? []).entries()) {
    const text = secretOf(one)
    const parsed = text === undefined
      ? Result.fail("allowed: a secret key of age, as Redacted")
      : AgeKey.parseIdentity(text)
    if (Result.isFailure(parsed)) return fail("identities", `number ${index + 1}: ${parsed.failure}`)
    secrets.push(Redacted.value(parsed.success))
  }
  const phrase = passphrase === undefined ? undefined : secretOf(passphrase)
  if (passphrase !== undefined && (phrase === undefined || phrase === "")) {
    return fail("passphrase", "allowed: a passphrase as Redacted, of at least one character")
  }
  return Result.succeed({ identities: secrets, passphrase: phrase })
}

/** The secrets for a download; `undefined` without decryption. */
export const forDownload = (
  { opener }: Pick<FileLink, "opener">,
  options: DecryptionOptions | undefined
): Result.Result<Secrets | undefined, Problem> =>
  Result.flatMap(read(options ?? {}), (given) => {
    if (options?.decrypt === false) return Result.succeed(undefined)
    const identities = opener?._tag === "Secret"
      ? [Redacted.value(opener.identity), ...given.identities]
      : given.identities
    if (opener?._tag === "Identity" && identities.length === 0) {
      return fail("identities", "the link says that the file is encrypted for certain keys; give the secret key of one")
    }
    if (opener?._tag === "Passphrase" && given.passphrase === undefined) {
      return fail("passphrase", "the link says that the file is encrypted with a passphrase; give it")
    }
    return Result.succeed(
      identities.length === 0 && given.passphrase === undefined ? undefined : { ...given, identities }
    )
  })
