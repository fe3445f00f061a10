/** The content of an upload: a file, a folder as an archive, standard input, or the output of a pipe or a device. */
import * as FileBody from "@effect-fileio/client/FileBody"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Fs from "node:fs"
import { local } from "./problem.ts"
import * as RawPath from "./rawPath.ts"
import { Report } from "./report.ts"
import * as SpecialFiles from "./specialFiles.ts"
import { Stdio } from "./stdio.ts"

export type Body = FileBody.FileBody | FileBody.OneShotBody

export interface Options {
  readonly name?: string | undefined
  readonly tar?: boolean | undefined
  /** Sends what a growing file has at the start. */
  readonly snapshot?: boolean | undefined
}

const standardInput = Effect.fnUntraced(function*(name: string | undefined) {
  const stdio = yield* Stdio
  if (stdio.stdin.isTerminal) yield* (yield* Report).note("reading from the terminal; Ctrl-D ends it")
  return FileBody.once(stdio.stdin.bytes, { name: name ?? "stdin" })
})

const archive = Effect.fnUntraced(function*(path: Buffer, name: string | undefined) {
  const report = yield* Report
  const { folder, nameOf } = yield* Effect.promise(() => import("./tar.ts"))
  const skipped = (path: string) =>
    Effect.runSync(report.warn(`left out, since it is neither file, folder nor link: ${path}`))
  return FileBody.stream(() => folder(path, skipped), {
    name: name ?? `${RawPath.decode(nameOf(path))}.tar`,
    contentType: "application/x-tar"
  })
})

/** A file whose name is not UTF-8: the SDK takes paths as text, so it gets that of an open descriptor. */
const undecoded = Effect.fnUntraced(function*(path: Buffer, { name, snapshot }: Options) {
  const descriptor = yield* Effect.acquireRelease(
    Effect.try({ try: () => Fs.openSync(path, "r"), catch: (cause) => local("it cannot be read", "Check it.", cause) }),
    (descriptor) => Effect.sync(() => Fs.closeSync(descriptor))
  )
  const own = path.subarray(path.lastIndexOf("/") + 1)
  return yield* FileBody.file(`/dev/fd/${descriptor}`, { name: name ?? RawPath.decode(own), snapshot })
})

/** Files up to this size may report another size than they have, as those in `/sys` do. */
const MOST_CLAIMED_BYTES = 4096

/** The content of a file that the system generates when it is read, as in `/proc`: its size means nothing. */
const madeUp = Effect.fnUntraced(function*(path: string, info: FileSystem.File.Info, options: FileBody.Options) {
  const fs = yield* FileSystem.FileSystem
  if (Number(info.size) === 0) {
    const first = yield* Effect.option(Effect.scoped(
      Effect.flatMap(fs.open(path, { flag: "r" }), (file) => file.readAlloc(1))
    ))
    return Option.isSome(Option.flatten(first)) ? FileBody.once(SpecialFiles.read(path, "device"), options) : undefined
  }
  if (Number(info.size) > MOST_CLAIMED_BYTES || Option.getOrElse(info.blocks, () => 1) > 0) return undefined
  const bytes = Option.getOrUndefined(yield* Effect.option(fs.readFile(path)))
  return bytes === undefined || bytes.length === Number(info.size) ? undefined : FileBody.bytes(bytes, options)
})

/** The body of a command's argument; `-` is standard input. */
export const bodyOf = Effect.fnUntraced(function*(path: string, { name, snapshot, tar = false }: Options) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  if (path === "-") return yield* standardInput(name)
  const kind = SpecialFiles.kindOf(path)
  if (typeof kind === "object") return yield* kind
  const descriptor = SpecialFiles.descriptorOf(path)
  if (kind === "pipe" || kind === "device") {
    if (descriptor === 0) return yield* standardInput(name)
    return FileBody.once(SpecialFiles.read(path, kind), {
      name: name ?? (descriptor === undefined ? paths.basename(path) : "file")
    })
  }
  const raw = RawPath.find(path)
  const isUndecoded = !Buffer.from(path).equals(raw)
  const isFolder = SpecialFiles.statOf(raw)?.isDirectory() === true
  if (isFolder && tar) return yield* archive(raw, name)
  if (isFolder) {
    return yield* local(
      "it is a folder",
      "Nothing was sent. Add --tar to the command to send it as one archive."
    )
  }
  if (isUndecoded) return yield* undecoded(raw, { name, snapshot })
  const info = Option.getOrUndefined(yield* Effect.option(fs.stat(path)))
  const made = info === undefined ? undefined : yield* madeUp(path, info, { name: name ?? paths.basename(path) })
  return made ?? (yield* FileBody.file(path, { name, snapshot }))
})
