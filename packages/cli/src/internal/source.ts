/** The content of an upload: a file, a folder as an archive, standard input, or the output of a pipe or a device. */
import * as FileBody from "@effect-fileio/client/FileBody"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Stream from "effect/Stream"
import { local } from "./problem.ts"
import { Report } from "./report.ts"
import * as SpecialFiles from "./specialFiles.ts"
import { Stdio } from "./stdio.ts"
import * as Text from "./text.ts"

export type Body = FileBody.FileBody | FileBody.OneShotBody

export interface Options {
  readonly name?: string | undefined
  readonly tar?: boolean | undefined
}

const standardInput = Effect.fnUntraced(function*(name: string | undefined) {
  const stdio = yield* Stdio
  if (stdio.stdin.isTerminal) yield* (yield* Report).note("reading from the terminal; Ctrl-D ends it")
  return FileBody.once(stdio.stdin.bytes, { name: name ?? "stdin" })
})

const archive = Effect.fnUntraced(function*(path: string, name: string | undefined) {
  const paths = yield* Path.Path
  const report = yield* Report
  const { folder } = yield* Effect.promise(() => import("./tar.ts"))
  const context = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
  const skipped = (path: string) => report.warn(`left out, since it is neither file, folder nor link: ${path}`)
  return FileBody.stream(() => Stream.provideContext(folder(path, skipped), context), {
    name: name ?? `${paths.basename(paths.resolve(path))}.tar`,
    contentType: "application/x-tar"
  })
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
export const bodyOf = Effect.fnUntraced(function*(path: string, { name, tar = false }: Options) {
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
  const info = Option.getOrUndefined(yield* Effect.option(fs.stat(path)))
  if (info?.type === "Directory" && tar) return yield* archive(path, name)
  if (info?.type === "Directory") {
    return yield* local(
      "it is a folder",
      `Nothing was sent. Send it as one archive: fileio upload --tar ${Text.quoted(path)}`
    )
  }
  const made = info === undefined ? undefined : yield* madeUp(path, info, { name: name ?? paths.basename(path) })
  return made ?? (yield* FileBody.file(path, { name }))
})
