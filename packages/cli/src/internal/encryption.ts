/**
 * Reads the keys and passphrases of uploads and downloads: from flags, variables, files and the terminal. A secret is never an
 * argument.
 */
import type { DecryptionOptions, Encryption } from "@effect-fileio/client/Encryption"
import * as AgeKey from "@effect-fileio/core/AgeKey"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { local, type Problem, usage } from "./problem.ts"
import { type Settings, sourceOf } from "./settings.ts"
import { Stdio } from "./stdio.ts"

interface PassphraseInput {
  readonly passphrase: boolean
  readonly passphraseFile: string | undefined
}

export interface EncryptInput extends PassphraseInput {
  readonly encrypt: boolean
  readonly noEncrypt: boolean
  readonly recipient: ReadonlyArray<string>
  readonly nameAtHost: boolean
}

export interface DecryptInput extends PassphraseInput {
  readonly identity: ReadonlyArray<string>
  readonly noDecrypt: boolean
}

/** Reads a file; `-` is standard input. */
const readFile = Effect.fnUntraced(function*(path: string, what: string) {
  const fs = yield* FileSystem.FileSystem
  const { stdin } = yield* Stdio
  return yield* Effect.mapError(
    path === "-" ? Stream.mkString(Stream.decodeText(stdin.bytes)) : fs.readFileString(path),
    (error) =>
      local(`${what} ${path} cannot be read`, "Check the path and its permissions. No request was made.", error)
  )
})

/** From the file, the variable, or the terminal, which asks twice before encrypting. */
const readPassphrase = Effect.fnUntraced(function*(
  file: string | undefined,
  isNew: boolean
): Effect.fn.Return<Redacted.Redacted, Problem, Stdio | FileSystem.FileSystem> {
  const { env, stdin } = yield* Stdio
  const advice = "No request was made. Type it, set FILEIO_PASSPHRASE, or give --passphrase-file FILE."
  if (file !== undefined) {
    const [line = ""] = (yield* readFile(file, "the passphrase file")).split(/\r?\n/, 1)
    if (line === "") return yield* usage(`the first line of ${file} is empty`, "Write the passphrase there.")
    return Redacted.make(line)
  }
  const variable = env["FILEIO_PASSPHRASE"]
  if (variable !== undefined && variable !== "") {
    // A file that was read into it may have left its line end.
    const line = variable.replace(/\r?\n$/, "")
    return line === "" || /[\r\n]/.test(line)
      ? yield* usage("FILEIO_PASSPHRASE is not one line", "No request was made. Set it to the passphrase alone.")
      : Redacted.make(line)
  }
  if (!stdin.isTerminal) return yield* usage("a passphrase is needed, and there is no terminal to ask on", advice)
  const ask = (question: string) => Effect.orElseSucceed(stdin.ask(question, true), () => "")
  const typed = yield* ask("Passphrase (not shown): ")
  if (typed === "") return yield* usage("no passphrase was given", advice)
  if (isNew && (yield* ask("Once more: ")) !== typed) {
    return yield* usage("the two passphrases differ", "No request was made. Try again.")
  }
  return Redacted.make(typed)
})

/** How to encrypt uploads; `undefined`: not at all. */
export const forUpload = Effect.fnUntraced(function*(
  input: EncryptInput,
  settings: Settings
): Effect.fn.Return<Encryption | undefined, Problem, Stdio | FileSystem.FileSystem> {
  const withPassphrase = input.passphrase || input.passphraseFile !== undefined
  const asked = [input.encrypt, input.recipient.length > 0, withPassphrase, input.noEncrypt].filter(Boolean).length
  if (asked > 1) {
    return yield* usage(
      "--encrypt, --recipient, --passphrase and --no-encrypt exclude each other",
      "Give one of them. Nothing was sent."
    )
  }
  const name = input.nameAtHost ? "host" : "link"
  if (withPassphrase) return { passphrase: yield* readPassphrase(input.passphraseFile, true), name }
  if (input.recipient.length > 0) {
    for (const [index, one] of input.recipient.entries()) {
      const parsed = AgeKey.parseRecipient(one)
      if (Result.isFailure(parsed)) {
        return yield* usage(`invalid --recipient (number ${index + 1}): ${parsed.failure}`, "Nothing was sent.")
      }
    }
    return { recipients: input.recipient, name }
  }
  const { encrypt } = settings
  if (encrypt !== undefined && encrypt.value !== "link" && encrypt.value !== "none") {
    return yield* usage(`invalid ${sourceOf("encrypt", encrypt.from)}`, "Allowed: link, none. Nothing was sent.")
  }
  const isEncrypted = input.encrypt || (encrypt?.value === "link" && !input.noEncrypt)
  if (input.nameAtHost && !isEncrypted) {
    return yield* usage("--name-at-host is for encrypted files; others have their name there", "Give --encrypt too.")
  }
  return isEncrypted ? { link: true, name } : undefined
})

/** The secrets that decrypt downloads of these links. Asks for a passphrase as soon as one of the links needs it. */
export const forDownload = Effect.fnUntraced(function*(
  input: DecryptInput,
  links: ReadonlyArray<string>,
  /** Whether the links came from standard input. */
  areLinksPiped: boolean
): Effect.fn.Return<DecryptionOptions, Problem, Stdio | FileSystem.FileSystem> {
  const identities: Array<Redacted.Redacted> = []
  const needsPassphrase = links.some((link) =>
    Result.getOrUndefined(FileKey.parse(link))?.opener?._tag === "Passphrase"
  )
  if (input.noDecrypt) {
    return input.identity.length > 0 || input.passphrase || input.passphraseFile !== undefined
      ? yield* usage("--no-decrypt goes with neither --identity nor --passphrase", "Leave one of them out.")
      : { decrypt: false }
  }
  if (input.identity.filter((path) => path === "-").length + (areLinksPiped ? 1 : 0) > 1) {
    return yield* usage("standard input can be read only once", "Write the links or the secret keys to a file.")
  }
  for (const path of input.identity) {
    const parsed = AgeKey.parseIdentityFile(yield* readFile(path, "the identity file"))
    if (Result.isFailure(parsed)) {
      return yield* usage(`the identity file ${path} cannot be used: ${parsed.failure}`, "No request was made.")
    }
    identities.push(...parsed.success)
  }
  return {
    ...(identities.length === 0 ? {} : { identities }),
    ...(needsPassphrase || input.passphrase || input.passphraseFile !== undefined
      ? { passphrase: yield* readPassphrase(input.passphraseFile, false) }
      : {})
  }
})
