/**
 * What the client needs from the machine beyond `FileSystem` and `Path`: free disk space, which processes are alive,
 * permissions of a new file, SHA-256 of a stream, and the cipher of encrypted files. A platform package provides it in one
 * reference, as `NodePlatform` of `@effect-fileio/platform-node` does.
 *
 * `FileTransfer` and `internal/disk` use the space and the processes, `internal/calls` the digests, `internal/encryption` the
 * cipher.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { makeSha256 } from "./internal/shared/sha256.ts"

/**
 * A SHA-256 digest of bytes that arrive in pieces, which the web's `crypto.subtle` cannot compute.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hasher {
  /** Adds bytes. */
  readonly update: (bytes: Uint8Array) => void
  /** Returns the digest in lower-case hexadecimal. Call it once, at the end. */
  readonly digest: () => string
}

/**
 * ChaCha20-Poly1305 (RFC 8439), without associated data.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cipher {
  /** Encrypts into `into`, which has 16 bytes more than `plaintext`: the last ones are the tag. */
  readonly seal: (key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, into: Uint8Array) => void
  /** Decrypts into `into`, which has 16 bytes less than `sealed`. Returns whether it is authentic; if not, `into` is invalid. */
  readonly open: (key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, into: Uint8Array) => boolean
}

/**
 * State of the process that writes a part file: it runs; it has exited; or the machine has rebooted since, so that some of
 * what it wrote may not have reached the disk.
 *
 * @category models
 * @since 0.1.0
 */
export type ProcessState = "alive" | "exited" | "rebooted"

/**
 * Identifies this thread of this process, and checks whether another one is alive. A download takes over the part file
 * of a writer that has exited, never that of one that is alive.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProcessIdentity {
  /** Identifies this thread; written to the note beside a part. */
  readonly self: string
  /** Replaces `self` in the note when a download ends and its part is free for others. */
  readonly released: string
  /**
   * The state of the writer that a note names.
   *
   * @param lastWrite when the part was last written, in milliseconds since 1970
   */
  readonly stateOf: (writer: string, lastWrite: number) => Effect.Effect<ProcessState>
}

/**
 * There is not enough memory to derive a key from a passphrase.
 *
 * @category models
 * @since 0.1.0
 */
export interface NotEnoughMemory {
  readonly _tag: "NotEnoughMemory"
  /** Bytes that could be used; absent if unknown. */
  readonly free?: number
}

/**
 * What a platform provides.
 *
 * @category models
 * @since 0.1.0
 */
export interface Platform {
  /** Free bytes on the disk of a folder; `undefined` if unknown, and then no download is refused. */
  readonly freeSpace: (folder: string) => Effect.Effect<number | undefined>
  readonly process: ProcessIdentity
  /** The user who owns the files that this process writes; `undefined` if the platform has no users. */
  readonly userId: number | undefined
  /**
   * Sets the permissions of an open file: `mode`, or those that the umask gives a new file. Uses the open file, since
   * its path may be another file by now. Does nothing where there are no permissions.
   */
  readonly setMode: (file: FileSystem.File, mode: number | undefined) => Effect.Effect<void, PlatformError>
  /** Starts a SHA-256 digest. */
  readonly sha256: () => Hasher
  /** The cipher of encrypted files; loaded when it is first needed. */
  readonly cipher: Effect.Effect<Cipher>
  /**
   * Derives 32 bytes from a passphrase by scrypt (RFC 7914) with r = 8 and p = 1, without blocking the event loop. Takes 2 to
   * the power of `logN` KiB of memory.
   */
  readonly scrypt: (
    passphrase: string,
    salt: Uint8Array,
    logN: number
  ) => Effect.Effect<Uint8Array, NotEnoughMemory>
}

/** A writer that cannot be looked up counts as exited if it has not written for this long, in milliseconds. */
const SILENCE_MILLIS = 5 * 60 * 1000

/**
 * The state of a writer that cannot be looked up: exited if it has not written for five minutes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stateBySilence = (lastWrite: number): Effect.Effect<ProcessState> =>
  Clock.clockWith((clock) =>
    Effect.succeed(clock.currentTimeMillisUnsafe() - lastWrite > SILENCE_MILLIS ? "exited" : "alive")
  )

const RELEASED = "nobody"

/**
 * Works anywhere: disk space is unknown, other processes are judged by their last write, and SHA-256, the cipher and scrypt are
 * JavaScript.
 *
 * @category constructors
 * @since 0.1.0
 */
export const portable: Platform = {
  freeSpace: () => Effect.undefined,
  process: {
    // All processes have this name, so it does not identify a writer.
    self: "somebody",
    released: RELEASED,
    stateOf: (writer, lastWrite) => writer === RELEASED ? Effect.succeed("exited") : stateBySilence(lastWrite)
  },
  userId: undefined,
  setMode: () => Effect.void,
  sha256: makeSha256,
  cipher: Effect.promise(() => import("./internal/shared/portableCipher.ts").then(({ cipher }) => cipher)),
  scrypt: (passphrase, salt, logN) =>
    Effect.flatMap(
      Effect.promise(() =>
        import("./internal/shared/portableCipher.ts").then(({ scrypt }) => scrypt(passphrase, salt, logN))
      ),
      (key) => key === undefined ? Effect.fail({ _tag: "NotEnoughMemory" as const }) : Effect.succeed(key)
    )
}

/**
 * The current platform.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentPlatform = Context.Reference<Platform>("@effect-fileio/client/Platform", {
  defaultValue: () => portable
})

/**
 * Makes a folder, with those above it, if its path is free. On Node, `FileSystem.makeDirectory` with `recursive` never returns
 * where the system says of a new folder in an existing one that it is not found, as in `/proc`.
 *
 * @category folders
 * @since 0.1.0
 */
export const makeFolder = (
  path: string,
  options: {
    /** Permissions of each new folder. @default those of the umask */
    readonly mode?: number
    /** Runs after a folder was made, with the one in which it lies. */
    readonly onMade?: (parent: string) => Effect.Effect<void, never, FileSystem.FileSystem>
  } = {}
): Effect.Effect<void, PlatformError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    if (yield* Effect.isSuccess(fs.stat(path))) return
    const parent = (yield* Path.Path).dirname(path)
    if (parent !== path) yield* makeFolder(parent, options)
    const { mode, onMade } = options
    yield* Effect.catch(
      fs.makeDirectory(path, mode === undefined ? {} : { mode }),
      // Somebody else made it at the same time, or it is a link that leads nowhere, as its first use will show.
      (error) => error.reason._tag === "AlreadyExists" ? Effect.void : Effect.fail(error)
    )
    if (onMade !== undefined) yield* onMade(parent)
  })
