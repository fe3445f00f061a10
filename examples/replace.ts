/** Updates a whole file: settings that are not given are reset to the default (PUT, `replace_all` of the Python wrapper). */
import { FileBody, FileIo } from "@effect-fileio/client"
import { Console, Effect } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const { key } = yield* fileIo.upload(FileBody.text("first", { name: "note.txt" }), { maxDownloads: 3 })

  const replaced = yield* fileIo.replace(key, { file: FileBody.text("second", { name: "note.txt" }), expires: "1h" })
  yield* Console.log("downloads left:", replaced.downloadsLeft)

  const { bytes } = yield* fileIo.downloadBytes(key)
  yield* Console.log("content:", new TextDecoder().decode(bytes))
}))
