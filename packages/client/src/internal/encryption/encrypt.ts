/** An encrypted body: the header and the payload of an age file over the bytes of another body. `Encryption` makes them. */
import * as AgeKey from "@effect-fileio/core/AgeKey"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import { randomBytesUnsafe } from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { EncryptedBody, Encryption } from "../../Encryption.ts"
import type { FileBody, OneShotBody } from "../../FileBody.ts"
import { type Cipher, CurrentPlatform } from "../../Platform.ts"
import type { Buffers } from "../../Transport.ts"
import { concat, dropBytes, followedBy, mapChunks } from "../shared/bytes.ts"
import { nameOf } from "../shared/toBytes.ts"
import * as Chunks from "./chunks.ts"
import { Fault, memoryProblem } from "./fault.ts"
import { KEY_BYTES, payloadKey } from "./header.ts"
import * as NewHeader from "./newHeader.ts"
import { transform } from "./transform.ts"

/** An invalid input. */
export interface Problem {
  readonly field: string
  readonly problem: string
}

/** The headers of many recipients are long, and a reader has to read them first. */
const MAX_RECIPIENTS = 256

type Checked =
  | { readonly _tag: "Link" }
  | { readonly _tag: "Recipients"; readonly recipients: ReadonlyArray<string> }
  | { readonly _tag: "Passphrase"; readonly passphrase: string }

const fail = (field: string, problem: string) => Result.fail<Problem>({ field, problem })

const checkRecipients = (given: unknown): Result.Result<Checked, Problem> => {
  const field = "encryption.recipients"
  if (!Array.isArray(given) || given.length === 0) return fail(field, "allowed: one or more public keys of age")
  if (given.length > MAX_RECIPIENTS) return fail(field, `allowed: at most ${MAX_RECIPIENTS} public keys`)
  const recipients: Array<string> = []
  for (const [index, one] of given.entries()) {
    const parsed = typeof one === "string" ? AgeKey.parseRecipient(one) : Result.fail("allowed: text")
    if (Result.isFailure(parsed)) return fail(field, `number ${index + 1}: ${parsed.failure}`)
    recipients.push(parsed.success)
  }
  return new Set(recipients.map(AgeKey.isPostQuantum)).size > 1
    ? fail(field, "post-quantum keys and others do not go together: the file would be as safe as the others make it")
    : Result.succeed({ _tag: "Recipients", recipients })
}

const check = (encryption: unknown): Result.Result<Checked, Problem> => {
  if (encryption === "link") return Result.succeed({ _tag: "Link" })
  if (typeof encryption === "object" && encryption !== null) {
    if (
      "name" in encryption && encryption.name !== undefined && encryption.name !== "link" && encryption.name !== "host"
    ) {
      return fail("encryption.name", "allowed: link or host")
    }
    const kinds = ["link", "recipients", "passphrase"].filter((kind) => Reflect.get(encryption, kind) !== undefined)
    if (kinds.length > 1) return fail("encryption", "allowed: one of link, recipients and passphrase")
    if ("link" in encryption && encryption.link === true) return Result.succeed({ _tag: "Link" })
    if ("recipients" in encryption && kinds.length === 1) return checkRecipients(encryption.recipients)
    if ("passphrase" in encryption && kinds.length === 1) {
      const secret: unknown = Redacted.isRedacted(encryption.passphrase)
        ? Redacted.value(encryption.passphrase)
        : undefined
      return typeof secret === "string" && secret !== ""
        ? Result.succeed({ _tag: "Passphrase", passphrase: secret })
        : fail("encryption.passphrase", "allowed: a passphrase as Redacted, of at least one character")
    }
  }
  return fail("encryption", "allowed: \"link\", { recipients }, or { passphrase }")
}

/** Makes the header of one file, and the secret for its link. */
const makeHeader = /* @__PURE__ */ Effect.fnUntraced(function*(checked: Checked, cipher: Cipher) {
  switch (checked._tag) {
    case "Link": {
      const { identity, recipient } = yield* Effect.promise(NewHeader.generateIdentity)
      const made = yield* Effect.promise(() => NewHeader.forRecipients([recipient], cipher))
      return { ...made, opener: identity }
    }
    case "Recipients": {
      // A key may have the right form and be no point to encrypt for, such as one of low order.
      const made = yield* Effect.tryPromise({
        try: () => NewHeader.forRecipients(checked.recipients, cipher),
        catch: (cause): Problem => ({
          field: "encryption.recipients",
          problem: `a key cannot be used: ${cause instanceof Error ? cause.message : "it is invalid"}`
        })
      })
      return { ...made, opener: "identity" as const }
    }
    case "Passphrase": {
      const { scrypt } = yield* CurrentPlatform
      const derive = (passphrase: string, salt: Uint8Array, logN: number) =>
        Effect.runPromise(
          Effect.mapError(scrypt(passphrase, salt, logN), (error): Problem => ({
            field: "encryption.passphrase",
            problem: `${memoryProblem(logN, error)}; free some, or encrypt for a key`
          }))
        )
      const made = yield* Effect.tryPromise({
        try: () => NewHeader.forPassphrase(checked.passphrase, derive, cipher),
        catch: (problem) => problem as Problem
      })
      return { ...made, opener: "passphrase" as const }
    }
  }
})

/** The bytes of a body, checked against its announced size: encrypted bytes cannot be counted from outside. */
const counted = (body: FileBody | OneShotBody, from: number): Stream.Stream<Uint8Array, FileIoError.SourceFailed> => {
  const path = body._tag === "FileBody" && body.path !== undefined ? { path: body.path } : {}
  const wrong = (problem: string) => new FileIoError.SourceFailed({ ...path, problem })
  const { size } = body
  const content: unknown = from > 0 && body._tag === "FileBody" && body.openAt !== undefined
    ? body.openAt(from, "reused")
    : body.open("reused")
  if (!Stream.isStream(content)) return Stream.fail(wrong(`its \`open\` gave ${nameOf(content)} in place of a Stream`))
  let done = from
  // A body that was made by hand may violate its type.
  return mapChunks(content as ReturnType<FileBody["open"]>, (chunks) => {
    for (const chunk of chunks) {
      if (!(chunk instanceof Uint8Array)) return Effect.fail(wrong(`it gave ${nameOf(chunk)} in place of a Uint8Array`))
      done += chunk.length
    }
    return size !== undefined && done > size
      ? Effect.fail(wrong(`it gave more than the ${size} bytes that were announced`))
      : Effect.succeed(chunks)
  }).pipe(followedBy(Stream.drain(Stream.fromEffect(Effect.suspend(() =>
    done === 0
      ? Effect.fail(wrong("it gave no bytes; a file has at least one"))
      : size !== undefined && done < size
      ? Effect.fail(wrong(`it ended after ${done} of the ${size} bytes that were announced`))
      : Effect.void
  )))))
}

/** A name that reveals nothing to the host, and by which an upload whose response was lost can still be found. */
const neutralName = (): string =>
  `${Array.from(randomBytesUnsafe(8), (byte) => byte.toString(16).padStart(2, "0")).join("")}.age`

/** Encrypts a body for one upload, which may open it again: each time it gives the same encrypted bytes. */
export const encrypt = /* @__PURE__ */ Effect.fnUntraced(function*<B extends FileBody | OneShotBody>(
  body: B,
  encryption: Encryption
): Effect.fn.Return<EncryptedBody<B>, Problem> {
  const checked = check(encryption)
  if (Result.isFailure(checked)) return yield* Effect.fail(checked.failure)
  const cipher = yield* (yield* CurrentPlatform).cipher
  const { fileKey, header, opener } = yield* makeHeader(checked.success, cipher)
  const isNameAtHost = typeof encryption === "object" && encryption.name === "host"
  const { size } = body
  const nonce = randomBytesUnsafe(KEY_BYTES)
  const key = payloadKey(fileKey, nonce)
  const sealed = new Chunks.Sealed()
  const start = concat([header, nonce], header.length + nonce.length)
  const path = body._tag === "FileBody" && body.path !== undefined ? { path: body.path } : {}
  type Bytes = Stream.Stream<Uint8Array, FileIoError.SourceFailed>
  /** The payload from a chunk on. */
  const payloadFrom = (chunk: number, buffers: Buffers): Bytes =>
    Stream.suspend(() => {
      const sealing = new Chunks.Sealing(cipher, key, sealed, buffers, chunk)
      const source = counted(body, chunk * Chunks.PLAIN_CHUNK)
      return Stream.transformPull(source, (pull) => Effect.succeed(transform(pull, sealing).output))
    }).pipe(
      Stream.mapError((error) =>
        error instanceof Fault ? new FileIoError.SourceFailed({ ...path, problem: error.detail! }) : error
      )
    )
  const open = (buffers: Buffers): Bytes => followedBy(payloadFrom(0, buffers))(Stream.succeed(start))
  /** Starts at the chunk of the position: to encrypt everything before it again would take longer than a host waits. */
  const openAt = (position: number, buffers: Buffers): Bytes =>
    Stream.suspend(() => {
      const at = position - start.length
      const isSeekable = body._tag === "FileBody" && body.openAt !== undefined && size !== undefined
      const chunk = isSeekable
        ? Math.min(Math.floor(at / Chunks.SEALED_CHUNK), Math.ceil(size / Chunks.PLAIN_CHUNK) - 1)
        : 0
      return chunk > 0 && chunk <= sealed.count
        ? dropBytes(payloadFrom(chunk, buffers), at - chunk * Chunks.SEALED_CHUNK)
        : dropBytes(open(buffers), position)
    })
  return {
    // No fields of the body itself that would give its plaintext.
    body: {
      _tag: body._tag,
      ...(body._tag === "FileBody" ? { path: body.path } : {}),
      name: isNameAtHost ? `${body.name}.age` : neutralName(),
      contentType: "application/octet-stream",
      size: size === undefined ? undefined : start.length + Chunks.sealedSize(size),
      open,
      ...(body._tag === "FileBody" ? { openAt } : {})
    } as FileBody | OneShotBody as B,
    linkOf: (link) => FileKey.encryptedLink(link, opener, isNameAtHost ? undefined : body.name)
  }
})
