/**
 * Content to upload. A `FileBody` can be opened again for every attempt; a `OneShotBody` is sent once, and the types
 * keep it from every call that retries.
 *
 * @since 0.1.0
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Mime from "effect/http/Mime"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Paths from "./internal/shared/paths.ts"
import * as ToBytes from "./internal/shared/toBytes.ts"
import type { Buffers } from "./Transport.ts"

interface Content {
  /** The file's name on the host. */
  readonly name: string
  /** MIME type. @default by the name's extension, else `application/octet-stream` */
  readonly contentType: string
  /** Size in bytes; `undefined` if unknown. */
  readonly size: number | undefined
  /** Why it cannot be sent, if it was made of an invalid value; the call then fails before any request. */
  readonly problem?: string | undefined
}

/**
 * Content: text, as UTF-8, or memory, as its bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type Chunk = string | Uint8Array | ArrayBufferView | ArrayBufferLike

/**
 * A body that can be opened again, so that a failed attempt can be repeated.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileBody extends Content {
  readonly _tag: "FileBody"
  /** Opens the bytes from the start. See `Transport.Buffers`. */
  readonly open: (buffers: Buffers) => Stream.Stream<Uint8Array, FileIoError.SourceFailed>
  /**
   * Opens the bytes from an offset, for an upload that is resumed: the same bytes that `open` gives from there. Absent if the
   * body can only be opened from the start.
   */
  readonly openAt?:
    | ((position: number, buffers: Buffers) => Stream.Stream<Uint8Array, FileIoError.SourceFailed>)
    | undefined
  /** Path of the file on disk, if there is one. */
  readonly path: string | undefined
}

/**
 * A body that can be read only once. Send it with `FileIo.uploadOnce`, which never repeats it.
 *
 * @category models
 * @since 0.1.0
 */
export interface OneShotBody extends Content {
  readonly _tag: "OneShotBody"
  /** Opens the bytes; called once. */
  readonly open: (buffers: Buffers) => Stream.Stream<Uint8Array, FileIoError.SourceFailed>
}

/**
 * Name and type of a body.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The file's name on the host. @default `file`, or the file's own */
  readonly name?: string | undefined
  /** MIME type. @default by the name's extension, else `application/octet-stream` */
  readonly contentType?: string | undefined
}

/**
 * Name and type of a file on disk, and what becomes of one that grows.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileOptions extends Options {
  /**
   * Sends the bytes that the file has now, even if more are appended meanwhile, as to a log. A file that becomes shorter, or
   * that is overwritten without growing, is still refused. @default false
   */
  readonly snapshot?: boolean | undefined
}

const typeOf = (name: string, given: string | undefined): string =>
  given ?? Option.getOrElse(Mime.getType(String(name)), () => "application/octet-stream")

/** The size of reads decides the speed of an upload; see `bench/README.md`. */
const READ_BYTES = 512 * 1024
/** A reused buffer can be larger. */
const REUSED_BYTES = 2 * 1024 * 1024

const chunked = (bytes: Uint8Array, from = 0): Stream.Stream<Uint8Array> =>
  Stream.suspend(() => {
    const chunks: Array<Uint8Array> = []
    for (let at = from; at < bytes.length; at += READ_BYTES) chunks.push(bytes.subarray(at, at + READ_BYTES))
    return Stream.fromIterable(chunks)
  })

/** An invalid value in place of a body. */
const wrong = (problem: string): Pick<FileBody, "size" | "open" | "problem"> => ({
  size: undefined,
  open: () => Stream.fail(new FileIoError.SourceFailed({ problem })),
  problem
})

const named = (options: Options | undefined, name: string): Pick<FileBody, "name" | "contentType"> => ({
  name: options?.name ?? name,
  contentType: typeOf(options?.name ?? name, options?.contentType)
})

/**
 * Bytes in memory: a `Uint8Array`, any other view, an `ArrayBuffer`, or a text as UTF-8. They are not copied: do not
 * change them during the upload.
 *
 * @category constructors
 * @since 0.1.0
 */
export const bytes = (content: Chunk, options?: Options): FileBody => {
  const converted = ToBytes.of(content)
  return {
    _tag: "FileBody",
    ...named(options, "file"),
    path: undefined,
    ...(converted === undefined
      ? wrong(ToBytes.problem(content))
      : {
        size: converted.length,
        open: () => chunked(converted),
        openAt: (position) => chunked(converted, position)
      })
  }
}

/**
 * A text, sent as UTF-8.
 *
 * @category constructors
 * @since 0.1.0
 */
export const text = (content: string, options?: Options): FileBody => {
  const { contentType = "text/plain; charset=utf-8", name = "text.txt" } = options ?? {}
  return typeof content === "string"
    ? bytes(content, { name, contentType })
    : {
      _tag: "FileBody",
      name,
      contentType,
      path: undefined,
      ...wrong(`it is ${ToBytes.nameOf(content)}; allowed: text`)
    }
}

const sourceFailed = (cause: unknown): FileIoError.SourceFailed =>
  cause instanceof FileIoError.SourceFailed
    ? cause
    : new FileIoError.SourceFailed({ problem: "the stream failed", cause })

/** The bytes of a stream. A value that is no stream fails when it is read, if not before. */
const opened = <E>(content: Stream.Stream<Chunk, E>): Stream.Stream<Uint8Array, FileIoError.SourceFailed> =>
  Stream.isStream(content)
    ? Stream.mapError(ToBytes.all(content), sourceFailed)
    : wrong(`it is ${ToBytes.nameOf(content)}; allowed: a stream`).open("owned")

/**
 * A stream of bytes or text that can be created again for each attempt.
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = <E>(
  make: () => Stream.Stream<Chunk, E>,
  options: Options & {
    /** Size in bytes, if known; the upload fails if the stream has another size. */
    readonly size?: number | undefined
  }
): FileBody => ({
  _tag: "FileBody",
  ...named(options, "file"),
  path: undefined,
  ...(typeof make === "function"
    ? { size: options?.size, open: () => Stream.suspend(() => opened(make())) }
    : wrong(`it is ${ToBytes.nameOf(make)}; allowed: a function that gives a stream`))
})

/** Recognised by its methods, since a `Blob` of another realm has another class. */
const isBlob = (value: unknown): value is Blob =>
  typeof value === "object" && value !== null && "stream" in value && typeof value.stream === "function" &&
  "size" in value && typeof value.size === "number" && "type" in value && typeof value.type === "string"

/**
 * A `Blob` or `File` of the web platform.
 *
 * @category constructors
 * @since 0.1.0
 */
export const blob = (content: Blob, options?: Options): FileBody => {
  if (!isBlob(content)) {
    const problem = `it is ${ToBytes.nameOf(content)}; allowed: a Blob or a File`
    return { _tag: "FileBody", ...named(options, "file"), path: undefined, ...wrong(problem) }
  }
  const name = options?.name ?? ("name" in content && typeof content.name === "string" ? content.name : "file")
  const read = (part: Blob) =>
    Stream.fromReadableStream<Uint8Array, unknown>({ evaluate: () => part.stream(), onError: (cause) => cause })
  const contentType = options?.contentType ?? (content.type === "" ? undefined : content.type)
  return {
    ...stream(() => read(content), { name, contentType, size: content.size }),
    openAt: (position) => Stream.mapError(read(content.slice(position)), sourceFailed)
  }
}

/**
 * A stream of bytes or text that can be read only once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const once = <E>(
  content: Stream.Stream<Chunk, E>,
  options?: Options & { readonly size?: number | undefined }
): OneShotBody => ({
  _tag: "OneShotBody",
  ...named(options, "file"),
  ...(Stream.isStream(content)
    ? { size: options?.size, open: () => opened(content) }
    : wrong(`it is ${ToBytes.nameOf(content)}; allowed: a stream`))
})

const unreadable = (path: string) => (error: PlatformError): FileIoError.SourceFailed => {
  const problems: Record<string, string> = {
    NotFound: "there is no such file",
    PermissionDenied: "no permission to read it",
    BadResource: "it is not a file"
  }
  return new FileIoError.SourceFailed({
    path,
    problem: problems[error.reason._tag] ?? "it cannot be read",
    cause: error
  })
}

const millis = (info: FileSystem.File.Info): number => Option.match(info.mtime, { onNone: () => 0, onSome: Number })

/** Reads the next bytes of an open file, at most the given number; none at its end. */
type Reader = (left: number) => Effect.Effect<Uint8Array, PlatformError>

/** What became of a file since it was announced; `snapshot`: whether it may have grown since, or lost its name. */
const changeOf = (
  announced: FileSystem.File.Info,
  now: FileSystem.File.Info,
  snapshot: boolean
): { readonly problem: string; readonly hasGrown?: true } | undefined => {
  if (snapshot) {
    const isOther = now.dev !== announced.dev || Option.getOrUndefined(now.ino) !== Option.getOrUndefined(announced.ino)
    if (isOther) {
      return { problem: "another file has its name by now, so what it had at the start cannot be sent again" }
    }
    if (now.size > announced.size) return undefined
  } else if (Option.getOrElse(now.nlink, () => 1n) === 0n) {
    return { problem: "it was removed while it was sent; send it again" }
  }
  if (now.size === announced.size && millis(now) === millis(announced)) return undefined
  return now.size > announced.size
    ? { problem: "it became longer while it was sent", hasGrown: true }
    : { problem: `it ${now.size < announced.size ? "became shorter" : "changed"} while it was sent; send it again` }
}

/**
 * Reads a file to its end, and checks that it is the announced one. The size is bounded, so a growing file cannot keep
 * the upload busy.
 */
const readWhole = (
  fs: FileSystem.FileSystem,
  path: string,
  announced: FileSystem.File.Info,
  position: number,
  snapshot: boolean,
  reader: (file: FileSystem.File, scope: Scope.Scope) => Effect.Effect<Reader>
): Stream.Stream<Uint8Array, FileIoError.SourceFailed> =>
  Stream.fromPull(Effect.gen(function*() {
    const fail = unreadable(path)
    const scope = yield* Effect.scope
    const file = yield* Effect.mapError(fs.open(path, { flag: "r" }), fail)
    const verify = Effect.flatMap(Effect.mapError(file.stat, fail), (now) => {
      const change = changeOf(announced, now, snapshot)
      return change === undefined ? Effect.void : new FileIoError.SourceFailed({ path, ...change })
    })
    yield* verify
    const size = Number(announced.size)
    if (position > 0) yield* Effect.mapError(file.seek(BigInt(position), "start"), fail)
    const read = yield* reader(file, scope)
    let done = position
    return Effect.suspend(() =>
      done >= size
        ? Effect.andThen(verify, Cause.done())
        : Effect.flatMap(Effect.mapError(read(size - done), fail), (chunk) => {
          if (chunk.length === 0) {
            return new FileIoError.SourceFailed({ path, problem: "it became shorter while it was sent; send it again" })
          }
          done += chunk.length
          return Effect.succeed([chunk] as const)
        })
    )
  })).pipe(Stream.scoped)

/** Every chunk is new memory. */
const readOwned = (file: FileSystem.File): Effect.Effect<Reader> =>
  Effect.succeed((left) =>
    Effect.map(file.readAlloc(Math.min(READ_BYTES, left)), Option.getOrElse(() => new Uint8Array(0)))
  )

/** Two buffers in turn: while one is in use, the next bytes are read into the other. */
const readReused = (file: FileSystem.File, scope: Scope.Scope): Effect.Effect<Reader> =>
  Effect.suspend(() => {
    const buffers: Array<Uint8Array> = []
    let turn = 0
    let ahead: Fiber.Fiber<number, PlatformError> | undefined
    const start = (left: number, reader: Fiber.Fiber<unknown, unknown>) => {
      const buffer = buffers[turn] ??= new Uint8Array(Math.min(REUSED_BYTES, left))
      turn = 1 - turn
      ahead = Effect.runForkWith(reader.context)(
        file.read(left < buffer.length ? buffer.subarray(0, left) : buffer)
      )
      return ahead
    }
    const read: Reader = (left) =>
      Effect.withFiber((reader) => {
        const fiber = ahead ?? start(left, reader)
        return Effect.map(Fiber.join(fiber), (count) => {
          const chunk = buffers[1 - turn]!.subarray(0, count)
          if (count > 0 && count < left) start(left - count, reader)
          else ahead = undefined
          return chunk
        })
      })
    // Waits for a running read before the file is closed.
    const finished = Effect.suspend(() => ahead === undefined ? Effect.void : Fiber.await(ahead))
    return Effect.as(Scope.addFinalizer(scope, Effect.asVoid(finished)), read)
  })

/**
 * A file on disk. It is checked now and read when it is sent; if it changes after the check, the upload fails with
 * `SourceFailed` instead of storing a mixture.
 *
 * @category constructors
 * @since 0.1.0
 */
export const file = /* @__PURE__ */ Effect.fnUntraced(function*(
  path: string,
  options?: FileOptions
): Effect.fn.Return<FileBody, FileIoError.FileIoError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const fail = (reason: FileIoError.SourceFailed) =>
    new FileIoError.FileIoError({ operation: "upload", reason, stored: "no" })
  const problem = Paths.problemOf(path)
  if (problem !== undefined) {
    const reason = new FileIoError.InvalidRequest({ field: "path", problem })
    return yield* new FileIoError.FileIoError({ operation: "upload", reason, stored: "no" })
  }
  const info = yield* Effect.mapError(fs.stat(path), (error) => fail(unreadable(path)(error)))
  if (info.type !== "File") {
    const problem = info.type === "Directory"
      ? "it is a folder; pack it first, for example with tar"
      : "it is not a regular file; send it as a stream"
    return yield* fail(new FileIoError.SourceFailed({ path, problem }))
  }
  yield* Effect.mapError(fs.access(path, { readable: true }), (error) => fail(unreadable(path)(error)))
  const name = options?.name ?? paths.basename(path)
  const openAt = (position: number, buffers: Buffers) =>
    readWhole(fs, path, info, position, options?.snapshot === true, buffers === "reused" ? readReused : readOwned)
  return {
    _tag: "FileBody",
    name,
    contentType: typeOf(name, options?.contentType),
    size: Number(info.size),
    open: (buffers) => openAt(0, buffers),
    openAt,
    path
  }
})

/**
 * Problems of a body that show before it is sent.
 *
 * @category validation
 * @since 0.1.0
 */
export const validate = (
  body: FileBody | OneShotBody
): Result.Result<void, { readonly field: string; readonly problem: string }> => {
  const fail = (field: string, problem: string) => Result.fail({ field, problem })
  const given: unknown = body
  if (!Predicate.isTagged(given, "FileBody") && !Predicate.isTagged(given, "OneShotBody")) {
    const forms = typeof given === "string"
      ? "FileBody.text for this text, or uploadFile for the file at this path"
      : "a FileBody, such as that of FileBody.text or FileBody.bytes"
    return fail("file", `it is ${ToBytes.nameOf(given)}; allowed: ${forms}`)
  }
  const { contentType, name, open, problem, size } = body
  if (problem !== undefined) return fail("file", problem)
  if (typeof open !== "function") return fail("file", "its `open` is no function that gives a Stream")
  if (size === 0) return fail("file", "it is empty; a file has at least one byte")
  if (size !== undefined && (!Number.isSafeInteger(size) || size < 0)) {
    return fail("size", "allowed: a whole number of bytes from 1")
  }
  if (typeof name !== "string") return fail("name", "allowed: text")
  if (name === "") return fail("name", "the file needs a name")
  // Each code unit takes at most three bytes of UTF-8.
  if (name.length > 341 && new TextEncoder().encode(name).length > 1024) {
    return fail("name", "allowed: at most 1,024 bytes")
  }
  if (
    typeof contentType !== "string" || contentType.length > 1024 ||
    !/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[\t\x20-\x7E]*)?$/.test(contentType)
  ) {
    return fail("contentType", "allowed: a MIME type such as text/plain, on one line, of at most 1,024 bytes")
  }
  return Result.succeed(undefined)
}
