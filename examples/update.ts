/** Updates part of a file: settings that are not given are kept (PATCH, `replace_partial` of the Python wrapper). */
import { FileBody, FileIo } from "@effect-fileio/client"
import { Console, Effect } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const { key } = yield* fileIo.upload(FileBody.text("first", { name: "note.txt" }), { expires: "1w", maxDownloads: 3 })

  const settings = yield* fileIo.update(key, { expires: "never", maxDownloads: "unlimited" })
  yield* Console.log("never expires:", settings.expires === null, " downloads left:", settings.downloadsLeft)

  const content = yield* fileIo.update(key, { file: FileBody.text("second", { name: "note.txt" }) })
  const { bytes } = yield* fileIo.downloadBytes(key)
  yield* Console.log("content:", new TextDecoder().decode(bytes), " downloads left:", content.downloadsLeft)
}))
