/** Decrypts a stream: parses the header, finds its key, then decrypts the payload. `Encryption`, `calls` and `disk` call it. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileLink } from "@effect-fileio/core/FileKey"
import * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Cipher, CurrentPlatform, type Hasher } from "../../Platform.ts"
import type { Buffers } from "../../Transport.ts"
import * as Retry from "../request/retry.ts"
import { followedBy } from "../shared/bytes.ts"
import { wrongDigest } from "../shared/failure.ts"
import * as Armor from "./armor.ts"
import * as Chunks from "./chunks.ts"
import { Fault, memoryProblem } from "./fault.ts"
import * as Header from "./header.ts"
import { type Bytes, transform } from "./transform.ts"

/** The longest header, in bytes: hundreds of post-quantum recipients. */
export const MAX_HEADER = 1024 * 1024

const VERSION = new TextEncoder().encode("age-encryption.org/v1\n")
const NEWLINE = 10
const DASH = 45

/** Collects bytes until there are enough. */
class Gathered {
  #buffer = new Uint8Array(1024)
  length = 0

  add(bytes: Uint8Array) {
    if (this.length + bytes.length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(this.#buffer.length * 2, this.length + bytes.length))
      larger.set(this.bytes)
      this.#buffer = larger
    }
    this.#buffer.set(bytes, this.length)
    this.length += bytes.length
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.length)
  }
}

/** Finds the end of a header: behind the first line that begins with `---`. */
class HeaderEnd {
  /** Start of the incomplete line. */
  #line = 0

  find(bytes: Uint8Array): number | Fault | undefined {
    for (let i = 0; i < Math.min(bytes.length, VERSION.length); i++) {
      if (bytes[i] !== VERSION[i]) {
        // It is the right format, with another version or another line end.
        return i >= VERSION.length - 3
          ? new Fault("malformed", "its version is not supported")
          : new Fault("notEncrypted")
      }
    }
    while (true) {
      const end = bytes.indexOf(NEWLINE, this.#line)
      if ((end === -1 ? bytes.length : end) >= MAX_HEADER) return new Fault("malformed", "its header is too long")
      if (end === -1) return undefined
      const isLast = bytes[this.#line] === DASH && bytes[this.#line + 1] === DASH && bytes[this.#line + 2] === DASH
      this.#line = end + 1
      if (isLast) return this.#line
    }
  }
}

/** The beginning of a stream, and how to continue. */
class Reader<E> {
  readonly #pull: Pull.Pull<Bytes, E>
  readonly #gathered = new Gathered()
  /** How the stream ended, if it has. */
  #end: Pull.Pull<never, E> | undefined

  constructor(pull: Pull.Pull<Bytes, E>) {
    this.#pull = pull
  }

  /** What was read so far. */
  get bytes(): Uint8Array {
    return this.#gathered.bytes
  }

  get isEnded(): boolean {
    return this.#end !== undefined
  }

  /** Reads more. */
  get more(): Effect.Effect<void, E> {
    return this.#pull.pipe(
      Effect.map((chunks) => {
        for (const chunk of chunks) this.#gathered.add(chunk)
      }),
      Effect.tapCause((cause) =>
        Effect.sync(() => {
          this.#end = Effect.failCause(cause)
        })
      ),
      Pull.catchDone(() => Effect.void)
    )
  }

  /** All bytes from an offset on, those that were read too. */
  from(offset: number): Pull.Pull<Bytes, E> {
    const start = this.bytes.slice(offset)
    let isGiven = start.length === 0
    return Effect.suspend(() => {
      if (isGiven) return this.#end ?? this.#pull
      isGiven = true
      return Effect.succeed<Bytes>([start])
    })
  }
}

/** The key of a payload. */
export interface Unlocked {
  /** The bytes before the payload: its header, and the nonce. */
  readonly start: Uint8Array
  readonly cipher: Cipher
  readonly key: Uint8Array
}

/** Finds the key of a file in its header. */
const openHeader = Effect.fnUntraced(function*(header: Uint8Array, secrets: Header.Secrets) {
  const { cipher: loadCipher, scrypt } = yield* CurrentPlatform
  const cipher = yield* loadCipher
  const derive = (passphrase: string, salt: Uint8Array, logN: number) =>
    Effect.runPromise(
      Effect.mapError(scrypt(passphrase, salt, logN), (error) => new Fault("workFactor", memoryProblem(logN, error)))
    )
  const fileKey = yield* Effect.promise(() => Header.openHeader(header, secrets, derive, cipher))
  if (fileKey instanceof Fault) return yield* Effect.fail(fileKey)
  return (start: Uint8Array): Unlocked => ({
    start,
    cipher,
    key: Header.payloadKey(fileKey, start.subarray(header.length))
  })
})

/** Finds the key of a payload in the bytes before it. */
export const unlock = (start: Uint8Array, secrets: Header.Secrets): Effect.Effect<Unlocked, Fault> =>
  Effect.map(openHeader(start.subarray(0, -Header.KEY_BYTES), secrets), (unlocked) => unlocked(start))

/** Reads the bytes before the payload, and finds the key in them. */
const readStart = Effect.fnUntraced(function*<E>(
  reader: Reader<E>,
  secrets: Header.Secrets
): Effect.fn.Return<Unlocked, E | Fault> {
  const end = new HeaderEnd()
  let headerEnd = end.find(reader.bytes)
  while (headerEnd === undefined && !reader.isEnded) {
    yield* reader.more
    headerEnd = end.find(reader.bytes)
  }
  if (headerEnd === undefined) {
    return yield* Effect.fail(
      reader.bytes.length === 0 ? new Fault("notEncrypted", "it is empty") : new Fault("cut", "within its header", true)
    )
  }
  if (headerEnd instanceof Fault) return yield* Effect.fail(headerEnd)
  const unlocked = yield* openHeader(reader.bytes.slice(0, headerEnd), secrets)
  const length = headerEnd + Header.KEY_BYTES
  while (!reader.isEnded && reader.bytes.length < length) yield* reader.more
  if (reader.bytes.length < length) return yield* Effect.fail(new Fault("cut", "behind its header", true))
  return unlocked(reader.bytes.slice(0, length))
})

const isArmored = Effect.fnUntraced(function*<E>(reader: Reader<E>): Effect.fn.Return<boolean, E> {
  while (!reader.isEnded && Armor.isBegun(reader.bytes) === undefined) yield* reader.more
  return Armor.isBegun(reader.bytes) === true
})

export interface Opened<E> {
  /** Bytes before the payload; `undefined` if the file is armored, since its size then says nothing. */
  readonly overhead: number | undefined
  /** The plaintext, chunk by chunk, each after it was authenticated. Read it once. */
  readonly payload: (buffers: Buffers) => Stream.Stream<Uint8Array, E | Fault>
}

/** Parses the header of a stream, and finds its key. */
export const open = /* @__PURE__ */ Effect.fnUntraced(function*<E, R>(
  source: Stream.Stream<Uint8Array, E, R>,
  secrets: Header.Secrets
): Effect.fn.Return<Opened<E>, E | Fault, R | Scope.Scope> {
  const raw = new Reader<E | Fault>(yield* Stream.toPull(source))
  const isText = yield* isArmored(raw)
  const reader = isText ? new Reader(transform(raw.from(0), new Armor.Decoding()).output) : raw
  const { cipher, key, start } = yield* readStart(reader, secrets)
  return {
    overhead: isText ? undefined : start.length,
    payload: (buffers) =>
      Stream.fromPull(
        Effect.sync(() => transform(reader.from(start.length), new Chunks.Opening(cipher, key, buffers)).output)
      )
  }
})

/** A stream whose header was read. */
export interface Begun<E> {
  /** The key of its payload, or why there is none; `undefined` if it is armored or broke before that was known. */
  readonly unlocked: Unlocked | Fault | undefined
  /** Its payload, if there is a key; otherwise all of its bytes. */
  readonly content: Pull.Pull<Bytes, E>
}

/** Parses the header of a stream whose bytes are kept if they cannot be decrypted as they arrive. */
export const begin = Effect.fnUntraced(function*<E, R>(
  source: Stream.Stream<Uint8Array, E, R>,
  secrets: Header.Secrets
): Effect.fn.Return<Begun<E>, never, R | Scope.Scope> {
  const reader = new Reader<E>(yield* Stream.toPull(source))
  const read = yield* Effect.result(
    Effect.flatMap(isArmored(reader), (isText) => isText ? Effect.undefined : readStart(reader, secrets))
  )
  const unlocked = Result.isSuccess(read) ? read.success : read.failure instanceof Fault ? read.failure : undefined
  return {
    unlocked,
    content: reader.from(unlocked === undefined || unlocked instanceof Fault ? 0 : unlocked.start.length)
  }
})

/** Fails if the plaintext does not have the expected digest. `hasher` has the bytes before it. */
export const checkDigest = <E>(
  payload: Stream.Stream<Uint8Array, E>,
  hasher: Hasher,
  expected: string
): Stream.Stream<Uint8Array, E | FileIoError.FileIoError> => {
  let bytesDone = 0
  const compare = Effect.suspend(() =>
    hasher.digest() === expected ? Effect.void : Effect.fail(Retry.toError("download", wrongDigest({ bytesDone })))
  )
  return Stream.map(payload, (chunk) => {
    hasher.update(chunk)
    bytesDone += chunk.length
    return chunk
  }).pipe(followedBy(Stream.drain(Stream.fromEffect(compare))))
}

/** The name of a decrypted file: from its link, or that on the host without `.age`. */
export const nameOf = (link: FileLink, hostName: string): FileName.FileName =>
  link.name ?? FileName.sanitize(hostName.replace(/(?<=.)\.age$/i, ""))

/** Bytes of plaintext in an encrypted file of this size. */
export const plainSize = (size: number | undefined, overhead: number | undefined): number | undefined =>
  size === undefined || overhead === undefined ? undefined : Chunks.plainSize(size - overhead)

/** The public error of a file that cannot be decrypted. */
export const toError = (
  { detail, problem }: Fault,
  stage: Stage,
  more?: { readonly bytesDone?: number; readonly encryptedPath?: string; readonly partPath?: string }
): FileIoError.FileIoError =>
  new FileIoError.FileIoError({
    operation: "download",
    reason: new FileIoError.DecryptionFailed({ problem, ...(detail === undefined ? {} : { detail }), ...more }),
    copy: stage === "received" ? "consumed" : "unknown"
  })

/** Whether all bytes of the file arrived before it failed. */
export type Stage = "begun" | "received"
