/** Deletes a file; a missing file is a typed error. */
import { FileBody, FileIo } from "@effect-fileio/client"
import { Console, Effect } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const { key } = yield* fileIo.upload(FileBody.text("never mind"))

  yield* fileIo.delete(key)
  yield* Console.log("deleted")

  yield* fileIo.delete(key).pipe(
    Effect.catchReason("FileIoError", "FileNotFound", (reason) => Console.log("once more:", reason.message))
  )
}))
