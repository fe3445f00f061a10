/** Decrypts a stream: parses the header, finds its key, then decrypts the payload. `Encryption`, `calls` and `disk` call it. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileLink } from "@effect-fileio/core/FileKey"
import * as FileName from "@effect-fileio/core/FileName"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CurrentPlatform } from "../../Platform.ts"
import type { Buffers } from "../../Transport.ts"
import * as Armor from "./armor.ts"
import * as Chunks from "./chunks.ts"
import { Fault } from "./fault.ts"
import type { Secrets } from "./library.ts"
import { loadLibrary } from "./loadLibrary.ts"
import { transform } from "./transform.ts"

const NONCE = 16
/** The longest header, in bytes: hundreds of post-quantum recipients. */
const MAX_HEADER = 1024 * 1024

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
      if (end === -1) return bytes.length > MAX_HEADER ? new Fault("malformed", "its header is too long") : undefined
      const isLast = bytes[this.#line] === DASH && bytes[this.#line + 1] === DASH && bytes[this.#line + 2] === DASH
      this.#line = end + 1
      if (isLast) return this.#line
    }
  }
}

export interface Opened<E> {
  /** Bytes before the payload; `undefined` if the file is armored, since its size then says nothing. */
  readonly overhead: number | undefined
  /** The plaintext, chunk by chunk, each after it was authenticated. Read it once. */
  readonly payload: (buffers: Buffers) => Stream.Stream<Uint8Array, E | Fault>
}

/** The bytes read already, and then the rest. */
const after = <E>(start: Uint8Array, rest: Pull.Pull<ReadonlyArray<Uint8Array>, E>): typeof rest => {
  let isGiven = start.length === 0
  return Effect.suspend(() => {
    if (isGiven) return rest
    isGiven = true
    return Effect.succeed([start])
  })
}

/** Parses the header of a stream, and finds its key. */
export const open = Effect.fnUntraced(function*<E, R>(
  source: Stream.Stream<Uint8Array, E, R>,
  secrets: Secrets
): Effect.fn.Return<Opened<E>, E | Fault, R | Scope.Scope> {
  const raw: Pull.Pull<ReadonlyArray<Uint8Array>, E | Fault> = yield* Stream.toPull(source)
  const gathered = new Gathered()
  let pull = raw
  let isEnded = false
  const more = Effect.suspend(() =>
    Effect.map(Pull.catchDone(Effect.asSome(pull), () => Effect.succeedNone), (got) => {
      isEnded = Option.isNone(got)
      if (Option.isSome(got)) { for (const chunk of got.value) gathered.add(chunk) }
    })
  )
  while (!isEnded && Armor.isBegun(gathered.bytes) === undefined) yield* more
  const isArmored = Armor.isBegun(gathered.bytes) === true
  if (isArmored) {
    pull = transform(after(gathered.bytes.slice(), isEnded ? Cause.done() : raw), new Armor.Decoding())
    gathered.length = 0
    isEnded = false
  }
  const end = new HeaderEnd()
  let headerEnd = end.find(gathered.bytes)
  while (headerEnd === undefined && !isEnded) {
    yield* more
    headerEnd = end.find(gathered.bytes)
  }
  if (headerEnd === undefined) {
    return yield* Effect.fail(
      gathered.length === 0 ? new Fault("notEncrypted", "it is empty") : new Fault("cut", "within its header", true)
    )
  }
  if (headerEnd instanceof Fault) return yield* Effect.fail(headerEnd)
  const { cipher: loadCipher, scrypt } = yield* CurrentPlatform
  const cipher = yield* loadCipher
  const library = yield* loadLibrary
  const header = gathered.bytes.slice(0, headerEnd)
  const derive = (passphrase: string, salt: Uint8Array, logN: number) =>
    Effect.runPromise(scrypt(passphrase, salt, logN))
  const fileKey = yield* Effect.promise(() => library.openHeader(header, secrets, derive, cipher))
  if (fileKey instanceof Fault) return yield* Effect.fail(fileKey)
  const overhead = headerEnd + NONCE
  while (!isEnded && gathered.length < overhead) yield* more
  if (gathered.length < overhead) return yield* Effect.fail(new Fault("cut", "behind its header", true))
  const key = library.payloadKey(fileKey, gathered.bytes.slice(headerEnd, overhead))
  const input = after(gathered.bytes.slice(overhead), pull)
  return {
    overhead: isArmored ? undefined : overhead,
    payload: (buffers) => Stream.fromPull(Effect.sync(() => transform(input, new Chunks.Opening(cipher, key, buffers))))
  }
})

/** The name of a decrypted file: from its link, or that on the host without `.age`. */
export const nameOf = (link: FileLink | undefined, hostName: string): FileName.FileName =>
  link?.name ?? FileName.sanitize(hostName.replace(/(?<=.)\.age$/i, ""))

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

type Stage = "begun" | "received"
