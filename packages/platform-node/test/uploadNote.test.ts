/** The notes of unfinished uploads, as one process opens and closes them. */
import { FileBody, UploadNote } from "@effect-fileio/client"
import { NodePlatform } from "@effect-fileio/platform-node"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path } from "effect"
import { folder } from "./utils.ts"

const setUp = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const room = yield* folder
  const [source, place] = [paths.join(room, "source.bin"), paths.join(room, "place")]
  yield* fs.writeFileString(source, "the content")
  const notes = paths.join(place, "notes")
  const open = Effect.flatMap(FileBody.file(source), (body) => UploadNote.open(notes, body, {}, ""))
  return { fs, place, notes, open: Effect.map(open, (note) => note!) }
})

describe("the note of an upload", () => {
  it.live("that could not be written is written by the next upload of the same file", () =>
    Effect.gen(function*() {
      const { fs, notes, open, place } = yield* setUp
      yield* fs.writeFileString(place, "no folder")
      yield* Effect.scoped(Effect.flatMap(open, ({ resumption }) => resumption.save!("http://localhost/1")))
      yield* fs.remove(place)
      yield* Effect.scoped(Effect.flatMap(open, ({ resumption }) => resumption.save!("http://localhost/2")))
      assert.strictEqual((yield* fs.readDirectory(notes)).length, 1)
      const { resumption, state } = yield* open
      assert.deepStrictEqual([state, resumption.address], ["unfinished", "http://localhost/2"])
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeServices.layer, NodePlatform.layer))))
})
