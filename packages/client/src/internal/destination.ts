import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileName from "@effect-fileio/core/FileName"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CurrentDiskSpace } from "../DiskSpace.ts"
import type * as FileIo from "../FileIo.ts"
import type { DownloadFileOptions, Target } from "../FileTransfer.ts"
import { toError } from "./attempts.ts"
import { Failure, type Stage } from "./failure.ts"

/** A place on disk that was found fit for a download. */
export interface Destination {
  readonly receive: (
    download: FileIo.Download
  ) => Effect.Effect<{ readonly path: string; readonly bytes: number }, FileIoError.FileIoError, Scope.Scope>
}

const PROBLEMS: Record<string, string> = {
  NotFound: "the folder does not exist",
  PermissionDenied: "no permission to write there",
  AlreadyExists: "the name is taken; ask for overwriting or a number, or give another path"
}

const CODES: Record<string, string> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the disk is read-only",
  EFBIG: "the file system does not take a file this large",
  ENAMETOOLONG: "the path is too long"
}

const codeOf = (error: PlatformError): string | undefined => {
  const cause = error.reason.cause
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined
}

const problemOf = (error: PlatformError): string =>
  CODES[codeOf(error) ?? ""] ?? PROBLEMS[error.reason._tag] ?? "it failed"

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

const room = Effect.fnUntraced(function*(folder: string, path: string, size: number | undefined, stage: Stage) {
  const free = size === undefined ? undefined : yield* (yield* CurrentDiskSpace).free(folder)
  if (size !== undefined && free !== undefined && free < size) {
    return yield* destinationFailed(
      stage,
      path,
      `the file has ${size.toLocaleString("en-US")} bytes, and the disk has ${free.toLocaleString("en-US")} left`
    )
  }
})

/** Makes sure of everything that can be told before the host is asked, since asking uses the copy up. */
export const prepare = Effect.fnUntraced(function*(
  target: Target,
  options: DownloadFileOptions | undefined
): Effect.fn.Return<Destination, FileIoError.FileIoError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const wanted = "path" in target ? paths.resolve(target.path) : undefined
  const folder = "path" in target ? paths.dirname(paths.resolve(target.path)) : paths.resolve(target.directory)
  const collision = options?.onCollision ?? (wanted === undefined ? "number" : "fail")
  const local = (path: string) => (error: PlatformError) =>
    destinationFailed("local", path, problemOf(error), error)

  const info = yield* Effect.mapError(fs.stat(folder), local(folder))
  if (info.type !== "Directory") return yield* destinationFailed("local", folder, "it is not a folder")
  yield* Effect.mapError(fs.access(folder, { writable: true }), local(folder))
  if (wanted !== undefined) {
    const taken = yield* Effect.option(fs.stat(wanted))
    if (taken._tag === "Some" && taken.value.type === "Directory") {
      return yield* destinationFailed("local", wanted, "it is a folder; give it as the directory, or name a file in it")
    }
    if (taken._tag === "Some" && collision === "fail") {
      return yield* destinationFailed("local", wanted, PROBLEMS["AlreadyExists"]!)
    }
  }

  /** Gives the whole part its name. A link fails when the name is taken, where a rename would write over it. */
  const publish = Effect.fnUntraced(function*(part: string, name: FileName.FileName) {
    const path = (n: number) =>
      wanted !== undefined && n === 0 ? wanted : paths.join(folder, FileName.numbered(name, n))
    if (collision === "overwrite") {
      yield* fs.rename(part, path(0))
      return path(0)
    }
    for (let n = 0;; n++) {
      const linked = yield* Effect.result(claim(part, path(n)))
      if (linked._tag === "Success") return path(n)
      if (linked.failure.reason._tag !== "AlreadyExists" || collision === "fail") return yield* linked.failure
    }
  })

  const claim = (part: string, path: string): Effect.Effect<void, PlatformError> =>
    Effect.matchEffect(fs.link(part, path), {
      onSuccess: () => fs.remove(part),
      // Not every file system has links; there the name is claimed by an empty file that the rename replaces.
      onFailure: (error) =>
        error.reason._tag === "AlreadyExists"
          ? Effect.fail(error)
          : Effect.andThen(
            Effect.scoped(fs.open(path, { flag: "wx", mode: 0o600 })),
            fs.rename(part, path)
          )
    })

  /** A folder is synced so that the new name survives too; systems that cannot open a folder do without. */
  const syncFolder = Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(folder, { flag: "r" }), (file) => file.sync)))

  const receive: Destination["receive"] = Effect.fnUntraced(function*(download) {
    const name = wanted === undefined ? download.name : FileName.sanitize(paths.basename(wanted))
    const path = wanted ?? paths.join(folder, name)
    yield* room(folder, path, download.size, "begun")
    const id = (yield* Random.nextIntBetween(0, 0x7FFFFFFF)).toString(36).padStart(6, "0")
    const part = paths.join(folder, `${FileName.sanitize(`.${name.slice(0, 100)}.${id}`)}.part`)
    let done = 0
    const received = (): Received => ({
      ...(done > 0 ? { parts: [part] } : {}),
      bytesDone: done,
      ...(download.size === undefined ? {} : { bytesExpected: download.size })
    })
    const failed = (stage: Stage) => (error: PlatformError) =>
      destinationFailed(stage, path, problemOf(error), error, received())

    yield* Effect.scoped(Effect.gen(function*() {
      const file = yield* Effect.mapError(fs.open(part, { flag: "wx", mode: 0o600 }), failed("begun"))
      yield* Stream.runForEach(
        download.stream,
        (chunk) =>
          Effect.andThen(
            Effect.mapError(file.writeAll(chunk), failed("begun")),
            Effect.sync(() => {
              done += chunk.length
            })
          )
      )
      if (options?.durable !== false) yield* Effect.mapError(file.sync, failed("received"))
    })).pipe(
      Effect.mapError((error) => withPart(error, part, done)),
      // What was received is kept, since the host may not give it again; an empty part is worth nothing.
      Effect.onError(() => done === 0 ? Effect.ignore(fs.remove(part)) : Effect.void)
    )
    const final = yield* Effect.mapError(publish(part, name), failed("received"))
    if (options?.durable !== false) yield* syncFolder
    return { path: final, bytes: done }
  })

  return { receive }
})

/** Adds where the bytes lie to an error of the transfer. */
const withPart = (error: FileIoError.FileIoError, part: string, done: number): FileIoError.FileIoError =>
  error.reason._tag === "TransferInterrupted" && done > 0
    ? new FileIoError.FileIoError({
      operation: error.operation,
      ...(error.copy === undefined ? {} : { copy: error.copy }),
      reason: new FileIoError.TransferInterrupted({
        bytesDone: done,
        ...(error.reason.bytesExpected === undefined ? {} : { bytesExpected: error.reason.bytesExpected }),
        partPath: part,
        resumable: error.reason.resumable,
        problem: error.reason.problem,
        ...(error.reason.cause === undefined ? {} : { cause: error.reason.cause })
      })
    })
    : error
