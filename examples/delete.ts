/** Deletes a file, with the account's key or with the token of its upload; a missing file is a typed error. */
import { FileBody, FileIo } from "@effect-fileio/client"
import { Console, Effect } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const { deleteToken, key } = yield* fileIo.upload(FileBody.text("never mind"))

  // Without an account, too, on hosts that give a token. It is Redacted: keep it as safe as the link.
  yield* fileIo.delete(key, { token: deleteToken })
  yield* Console.log("deleted")

  yield* fileIo.delete(key).pipe(
    Effect.catchReason("FileIoError", "FileNotFound", (reason) => Console.log("once more:", reason.message))
  )
}))
