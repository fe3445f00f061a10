import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { type PlatformError, systemError } from "effect/PlatformError"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CurrentDiskSpace } from "../DiskSpace.ts"
import type * as FileIo from "../FileIo.ts"
import type { DownloadFileOptions, Target } from "../FileTransfer.ts"
import * as LentStream from "../LentStream.ts"
import { CurrentSha256 } from "../Sha256.ts"
import { toError } from "./attempts.ts"
import { systemCode } from "./exchange.ts"
import { Failure, type Stage } from "./failure.ts"
import * as Parts from "./parts.ts"
import * as WriteBehind from "./writeBehind.ts"

interface Landed {
  readonly path: string
  readonly bytes: number
}

/** A place on disk that was found fit for a download. */
export interface Destination {
  /** The part of an earlier download to go on from. */
  readonly resume: FileIo.Resume | undefined
  /** The whole file, where an earlier download had all bytes and died before it gave them their name. */
  readonly finished: Effect.Effect<Landed, FileIoError.FileIoError, Scope.Scope> | undefined
  readonly receive: (download: FileIo.Download) => Effect.Effect<Landed, FileIoError.FileIoError, Scope.Scope>
  /** Says where the part lies, in an error of a request for the rest. */
  readonly explain: (error: FileIoError.FileIoError) => Effect.Effect<never, FileIoError.FileIoError>
}

const TAKEN = "the name is taken; ask for overwriting or a number, or give another path"

const PROBLEMS: Record<string, string> = {
  NotFound: "the folder does not exist",
  PermissionDenied: "no permission to write there",
  AlreadyExists: TAKEN
}

const CODES: Record<string, string> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the disk is read-only",
  EFBIG: "the file system does not take a file this large",
  ENAMETOOLONG: "the path is too long"
}

const problemOf = (error: PlatformError): string =>
  CODES[systemCode(error.reason.cause) ?? ""] ?? PROBLEMS[error.reason._tag] ?? "it failed"

interface Received {
  readonly parts?: ReadonlyArray<string>
  readonly bytesDone?: number
  readonly bytesExpected?: number
}

const destinationFailed = (stage: Stage, path: string, problem: string, cause?: unknown, received?: Received) =>
  toError(
    "download",
    new Failure(
      stage,
      new FileIoError.DestinationFailed({ path, problem, ...received, ...(cause === undefined ? {} : { cause }) })
    )
  )

/** An open file that bytes are appended to. */
interface Piece {
  readonly path: string
  readonly file: FileSystem.File
  bytes: number
}

/** Reads are this large, as uploads are. */
const COPY_BYTES = 512 * 1024

/** Appends a chunk, and knows after a failure how much of it is there. */
const append = (piece: Piece, chunk: Uint8Array): Effect.Effect<void, PlatformError> =>
  Effect.flatMap(piece.file.write(chunk), (count) => {
    piece.bytes += count
    return count >= chunk.length ? Effect.void : append(piece, chunk.subarray(count))
  })

const reading = (
  file: FileSystem.File,
  from: number,
  to: number
): Stream.Stream<Uint8Array, PlatformError> =>
  Stream.unfold(from, (at) =>
    at >= to
      ? Effect.undefined
      : Effect.map(
        file.readAlloc(Math.min(COPY_BYTES, to - at), { position: BigInt(at) }),
        Option.match({
          onNone: () => undefined,
          onSome: (chunk) => [chunk, at + chunk.length] as const
        })
      ))

/** Makes sure of everything that can be told before the host is asked, since asking uses the copy up. */
export const prepare = Effect.fnUntraced(function*(
  target: Target,
  file: { readonly key: string; readonly sha256: string | undefined } | undefined,
  options: DownloadFileOptions | undefined
): Effect.fn.Return<Destination, FileIoError.FileIoError, FileSystem.FileSystem | Path.Path | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const disk = yield* CurrentDiskSpace
  const wanted = "path" in target ? paths.resolve(target.path) : undefined
  const folder = "path" in target ? paths.dirname(paths.resolve(target.path)) : paths.resolve(target.directory)
  const collision = options?.onCollision ?? (wanted === undefined ? "number" : "fail")
  const isDurable = options?.durable !== false
  const local = (path: string) => (error: PlatformError) => destinationFailed("local", path, problemOf(error), error)

  const info = yield* Effect.mapError(fs.stat(folder), local(folder))
  if (info.type !== "Directory") return yield* destinationFailed("local", folder, "it is not a folder")
  yield* Effect.mapError(fs.access(folder, { writable: true }), local(folder))
  if (wanted !== undefined) {
    // Without following links: a link that leads nowhere takes the name too.
    const taken = yield* Effect.option(fs.lstat(wanted))
    if (taken._tag === "Some" && taken.value.type === "Directory") {
      return yield* destinationFailed("local", wanted, "it is a folder; give it as the directory, or name a file in it")
    }
    if (taken._tag === "Some" && collision === "fail") return yield* destinationFailed("local", wanted, TAKEN)
  }
  if (options?.fallbackDirectory !== undefined) {
    const fallback = paths.resolve(options.fallbackDirectory)
    const fallbackInfo = yield* Effect.mapError(fs.stat(fallback), local(fallback))
    if (fallbackInfo.type !== "Directory") return yield* destinationFailed("local", fallback, "it is not a folder")
    yield* Effect.mapError(fs.access(fallback, { writable: true }), local(fallback))
  }

  const finalPath = (name: FileName.FileName, n: number) =>
    wanted !== undefined && n === 0 ? wanted : paths.join(folder, FileName.numbered(name, n))
  const nameFor = (name: FileName.FileName) => wanted === undefined ? name : FileName.sanitize(paths.basename(wanted))

  const sha256 = yield* CurrentSha256
  const parts = file === undefined ? undefined : yield* Parts.make(folder, file.key, sha256)
  if (parts !== undefined) yield* Effect.addFinalizer(() => parts.release)
  const found = parts === undefined || options?.resume === false
    ? undefined
    : yield* Effect.orElseSucceed(
      parts.take((note) => Array.from({ length: 20 }, (_, n) => finalPath(nameFor(note.name), n))),
      () => undefined
    )

  if (options?.size !== undefined) {
    const free = yield* disk.free(folder)
    const needed = options.size - (found?.bytes ?? 0)
    if (free !== undefined && free < needed) {
      const counts = [needed, free].map((bytes) => bytes.toLocaleString("en-US"))
      return yield* destinationFailed(
        "local",
        wanted ?? folder,
        `the file needs ${counts[0]} bytes, and the disk has ${counts[1]} left`
      )
    }
  }

  const move = (part: string, path: string): Effect.Effect<void, PlatformError> =>
    Effect.matchEffect(fs.link(part, path), {
      onSuccess: () => Effect.ignore(fs.remove(part)),
      onFailure: (error) =>
        error.reason._tag === "AlreadyExists" || error.reason._tag === "NotFound"
          ? Effect.fail(error)
          // Not every file system has links. There, a look before the rename is all there is: to claim the name with an
          // empty file would break the promise that a name never holds less than the whole file.
          : Effect.flatMap(Effect.option(fs.lstat(path)), (taken) =>
            taken._tag === "Some"
              ? Effect.fail(
                systemError({ module: "FileSystem", method: "link", _tag: "AlreadyExists", pathOrDescriptor: path })
              )
              : fs.rename(part, path))
    })

  /** Gives the whole part its name. A link fails when the name is taken, where a rename would write over it. */
  const publish = Effect.fnUntraced(function*(part: string, name: FileName.FileName) {
    if (collision === "overwrite") {
      yield* fs.rename(part, finalPath(name, 0))
      return finalPath(name, 0)
    }
    for (let n = 0;; n++) {
      const moved = yield* Effect.result(move(part, finalPath(name, n)))
      if (moved._tag === "Success") return finalPath(name, n)
      if (moved.failure.reason._tag !== "AlreadyExists" || collision === "fail") return yield* moved.failure
    }
  })

  /** A folder is synced so that the new name survives too; systems that cannot open a folder do without. */
  const syncFolder = isDurable
    ? Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(folder, { flag: "r" }), (file) => file.sync)))
    : Effect.void

  const create = Effect.fnUntraced(function*(directory: string, name: string) {
    const path = paths.join(directory, yield* Parts.partName(name))
    const file = yield* fs.open(path, { flag: "wx+", mode: 0o600 })
    return { path, file, bytes: 0 } as Piece
  })

  const rescueFolder = options?.fallbackDirectory !== undefined
    ? Effect.succeed(paths.resolve(options.fallbackDirectory))
    : fs.makeTempDirectory({ prefix: "fileio-rescued-" })

  /** Saves what lies in open files as one file in the fallback folder. */
  const gather = (pieces: ReadonlyArray<Piece>, name: string, into?: string) =>
    Effect.gen(function*() {
      const directory = into ?? (yield* rescueFolder)
      const whole = yield* create(directory, name)
      yield* Effect.gen(function*() {
        for (const { bytes, file } of pieces) {
          const before = whole.bytes
          yield* Stream.runForEach(reading(file, 0, bytes), (chunk) => append(whole, chunk))
          if (whole.bytes - before !== bytes) return yield* Effect.fail("short" as const)
        }
        if (isDurable) yield* whole.file.sync
      }).pipe(Effect.onError(() => Effect.ignore(fs.remove(whole.path))))
      return whole
    })

  /** The last steps with a part that has all bytes. */
  const finish = Effect.fnUntraced(function*(piece: Piece, name: FileName.FileName) {
    const path = finalPath(name, 0)
    const synced = yield* Effect.result(isDurable ? piece.file.sync : Effect.void)
    const published = synced._tag === "Success" ? yield* Effect.result(publish(piece.path, name)) : synced
    if (published._tag === "Success" && typeof published.success === "string") {
      if (parts !== undefined) yield* parts.remove
      yield* syncFolder
      return { path: published.success, bytes: piece.bytes }
    }
    const error = published._tag === "Failure" ? published.failure : undefined
    // The part may be gone with its folder, or may not have reached the disk; the open file still has the bytes.
    const there = synced._tag === "Success" ? yield* Effect.option(fs.stat(piece.path)) : Option.none()
    const lies = Option.isSome(there) && Number(there.value.size) === piece.bytes
      ? [piece.path]
      : yield* Effect.match(gather([piece], name), {
        onFailure: () => [piece.path],
        onSuccess: (whole) => [whole.path]
      })
    return yield* destinationFailed("received", path, error === undefined ? "it failed" : problemOf(error), error, {
      parts: lies,
      bytesDone: piece.bytes,
      bytesExpected: piece.bytes
    })
  })

  const receive: Destination["receive"] = Effect.fnUntraced(function*(download) {
    const scope = yield* Effect.scope
    const name = nameFor(download.name)
    const path = finalPath(name, 0)
    const isResumed = found !== undefined && download.offset > 0
    const { size } = download

    const openPart = isResumed
      ? Effect.gen(function*() {
        const file = yield* fs.open(found.path, { flag: "r+" })
        yield* file.seek(BigInt(download.offset), "start")
        return { path: found.path, file, bytes: download.offset } as Piece
      })
      : create(folder, name)

    const pieces: Array<Piece> = []
    /** Why the destination was given up. */
    let failure: PlatformError | undefined
    let rescueDirectory: string | undefined
    const total = () => pieces.reduce((sum, piece) => sum + piece.bytes, 0)
    const isWorthKeeping = () => total() > 0 || parts?.isNoted() === true
    const received = (): Received => ({
      ...(total() > 0 ? { parts: pieces.filter((piece) => piece.bytes > 0).map((piece) => piece.path) } : {}),
      bytesDone: total(),
      ...(size === undefined ? {} : { bytesExpected: size })
    })

    /** Goes over to the fallback folder; fails when there is none either. */
    const giveWay = (error: PlatformError): Effect.Effect<Piece, FileIoError.FileIoError, Scope.Scope> =>
      Effect.suspend(() => {
        if (failure !== undefined) {
          return destinationFailed("begun", path, problemOf(failure), error, received())
        }
        failure = error
        return Effect.gen(function*() {
          rescueDirectory = yield* rescueFolder
          return yield* create(rescueDirectory, name)
        }).pipe(
          Effect.tap((piece) => Effect.sync(() => pieces.push(piece))),
          Effect.mapError(() => destinationFailed("begun", path, problemOf(error), error, received()))
        )
      })

    const write = (chunk: Uint8Array): Effect.Effect<void, FileIoError.FileIoError, Scope.Scope> =>
      Effect.suspend(() => {
        const piece = pieces.at(-1)!
        return Effect.matchEffect(piece.file.write(chunk), {
          onFailure: (error) => Effect.andThen(giveWay(error), write(chunk)),
          onSuccess: (count) => {
            piece.bytes += count
            return count >= chunk.length ? Effect.void : write(chunk.subarray(count))
          }
        })
      })

    const isTooSmall = Effect.gen(function*() {
      const free = size === undefined ? undefined : yield* disk.free(folder)
      return size !== undefined && free !== undefined && free < size - download.offset
    })

    yield* Effect.onExit(
      Effect.gen(function*() {
        // What is known to find no room goes to the fallback folder at once, if that has the room.
        const elsewhere = !isResumed && (yield* isTooSmall)
          ? yield* Effect.option(Effect.gen(function*() {
            const directory = yield* rescueFolder
            const free = yield* disk.free(directory)
            if (free !== undefined && free < size!) return yield* Effect.fail("no room" as const)
            return { directory, piece: yield* create(directory, name) }
          }))
          : Option.none()
        if (Option.isSome(elsewhere)) {
          rescueDirectory = elsewhere.value.directory
          pieces.push(elsewhere.value.piece)
        } else {
          const opened = yield* Effect.result(openPart)
          if (opened._tag === "Success") pieces.push(opened.success)
          else yield* giveWay(opened.failure)
        }
        if (
          failure === undefined && rescueDirectory === undefined && parts !== undefined &&
          download.validator !== undefined && size !== undefined
        ) {
          const part = paths.basename(pieces[0]!.path)
          yield* parts.write({ part, validator: download.validator, size, name: download.name })
        }
        yield* WriteBehind.run(LentStream.lent(download.stream), write, size)
      }).pipe(
        Effect.provideService(Scope.Scope, scope),
        Effect.mapError((error) =>
          failure !== undefined && error.reason._tag !== "DestinationFailed"
            ? destinationFailed("begun", path, problemOf(failure), error, received())
            : withPart(error, isWorthKeeping() ? pieces.at(0)?.path : undefined, total())
        )
      ),
      // What was received is kept, since the host may not give it again. So is a note, by which alone it gives the rest.
      (exit) =>
        exit._tag === "Success" || isWorthKeeping()
          ? Effect.void
          : Effect.forEach(pieces, (piece) => Effect.ignore(fs.remove(piece.path)), { discard: true })
    )

    if (rescueDirectory === undefined) {
      const landed = yield* finish(pieces[0]!, name)
      // The host began anew, so the part of the download before is worth nothing any more.
      if (found !== undefined && !isResumed) yield* Effect.ignore(fs.remove(found.path))
      return landed
    }

    // Everything is safe, but not where it should be. The caller gets one file if there is room for it.
    const problem = failure === undefined ? CODES["ENOSPC"]! : problemOf(failure)
    if (isDurable) yield* Effect.ignore(pieces.at(-1)!.file.sync)
    if (pieces.length > 1 && pieces[0]!.bytes > 0) {
      const whole = yield* Effect.option(gather(pieces, name, rescueDirectory))
      if (Option.isSome(whole)) {
        for (const piece of pieces) yield* Effect.ignore(fs.remove(piece.path))
        if (parts !== undefined) yield* parts.remove
        pieces.splice(0, pieces.length, whole.value)
      }
    } else if (parts !== undefined) yield* parts.remove
    for (const piece of pieces) if (piece.bytes === 0) yield* Effect.ignore(fs.remove(piece.path))
    return yield* destinationFailed("received", path, problem, failure, received())
  })

  const digest = options?.sha256?.toLowerCase() ?? file?.sha256
  const contentOf = (path: string, bytes: number): Stream.Stream<Uint8Array, FileIoError.FileIoError> =>
    Stream.unwrap(Effect.map(fs.open(path, { flag: "r" }), (file) => reading(file, 0, bytes))).pipe(
      Stream.scoped,
      Stream.mapError((error) => destinationFailed("local", path, problemOf(error), error))
    )

  if (found === undefined) {
    return { resume: undefined, finished: undefined, receive, explain: Effect.fail }
  }
  const { note } = found
  const partExplained = (stage: Stage, problem: string, cause?: FileIoError.Reason) =>
    toError(
      "download",
      new Failure(
        stage,
        new FileIoError.TransferInterrupted({
          bytesDone: found.bytes,
          bytesExpected: note.size,
          partPath: found.path,
          resumable: false,
          problem,
          ...(cause === undefined ? {} : { cause })
        })
      )
    )
  const resume: FileIo.Resume = {
    offset: found.bytes,
    validator: note.validator,
    size: note.size,
    content: digest !== undefined ? contentOf(found.path, found.bytes) : undefined
  }
  return {
    resume,
    receive,
    finished: found.bytes < note.size ? undefined : Effect.gen(function*() {
      if (found.published !== undefined) {
        yield* Effect.ignore(fs.remove(found.path))
        if (parts !== undefined) yield* parts.remove
        return { path: found.published, bytes: found.bytes }
      }
      if (digest !== undefined) {
        const hasher = sha256.make()
        yield* Stream.runForEach(contentOf(found.path, found.bytes), (chunk) => Effect.sync(() => hasher.update(chunk)))
        if (hasher.digest() !== digest) {
          if (parts !== undefined) yield* parts.remove
          return yield* partExplained("received", "its SHA-256 is another one than was expected")
        }
      }
      const file = yield* Effect.mapError(fs.open(found.path, { flag: "r+" }), local(found.path))
      return yield* finish({ path: found.path, file, bytes: found.bytes }, nameFor(note.name))
    }),
    explain: (error) => {
      const { reason } = error
      const explained = reason._tag === "FileNotFound"
        ? partExplained("received", "the host does not have the rest any more", reason)
        : reason._tag === "UnexpectedResponse"
        ? partExplained("begun", `the host does not give the rest: ${reason.problem}`, reason)
        : undefined
      if (explained === undefined) return Effect.fail(error)
      return Effect.andThen(parts === undefined ? Effect.void : parts.remove, Effect.fail(explained))
    }
  }
})

/** Adds where the bytes lie to an error of the transfer. */
const withPart = (
  error: FileIoError.FileIoError,
  part: string | undefined,
  done: number
): FileIoError.FileIoError => {
  const { reason } = error
  if (part === undefined || (reason._tag !== "TransferInterrupted" && reason._tag !== "TimedOut")) {
    return error
  }
  const cause = reason.cause === undefined ? {} : { cause: reason.cause }
  return new FileIoError.FileIoError({
    operation: error.operation,
    ...(error.copy === undefined ? {} : { copy: error.copy }),
    reason: reason._tag === "TimedOut"
      ? new FileIoError.TimedOut({
        phase: reason.phase,
        after: reason.after,
        bytesDone: done,
        partPath: part,
        ...(reason.resumable === undefined ? {} : { resumable: reason.resumable }),
        ...cause
      })
      : new FileIoError.TransferInterrupted({
        bytesDone: done,
        ...(reason.bytesExpected === undefined ? {} : { bytesExpected: reason.bytesExpected }),
        partPath: part,
        resumable: reason.resumable,
        problem: reason.problem,
        ...cause
      })
  })
}
