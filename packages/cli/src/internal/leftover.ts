/** What a download that broke has left in its folder, as the client notes it there (`client/src/internal/parts.ts`). */
import type * as FileTransfer from "@effect-fileio/client/FileTransfer"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"

const decodeNote = Schema.decodeUnknownEffect(
  Schema.fromJsonString(Schema.Struct({ part: Schema.String, size: Schema.Finite }))
)

export interface Leftover {
  readonly part: string
  readonly bytes: number
  readonly size: number
}

export const find = Effect.fnUntraced(function*(keyOrLink: string, target: FileTransfer.Target) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const link = FileKey.parse(keyOrLink)
  if (Result.isFailure(link)) return undefined
  const folder = "path" in target ? paths.dirname(paths.resolve(target.path)) : paths.resolve(target.directory)
  const digest = createHash("sha256").update(`effect-fileio download ${link.success.key}`).digest("hex").slice(0, 32)
  const note = yield* Effect.flatMap(fs.readFileString(paths.join(folder, `.fileio-${digest}.json`)), decodeNote)
  const part = paths.join(folder, note.part)
  const leftover: Leftover = { part, bytes: Number((yield* fs.stat(part)).size), size: note.size }
  return leftover
}, Effect.orElseSucceed((): Leftover | undefined => undefined))
